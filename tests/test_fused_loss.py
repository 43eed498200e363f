"""What the fused loss makes and holds while it works, and its precision in half precision."""

from weakref import WeakValueDictionary

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from teaforn_fairseq.loss import chunks, wide_products
from teaforn_fairseq.loss.fused import fused_loss
from teaforn_fairseq.loss.plain import plain_loss

VOCABULARY, WIDTH, TOKENS = 500, 64, 20


class Blocks(TorchDispatchMode):
    """Counts the most (V, C) blocks that there are at a time, not counting ``table``."""

    def __init__(self, table):
        super().__init__()
        self.table = table.untyped_storage().data_ptr()
        self.alive = WeakValueDictionary()
        self.most = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for x in result if isinstance(result, tuple) else (result,):
            if isinstance(x, torch.Tensor) and x.shape == (VOCABULARY, WIDTH):
                self.alive[id(x)] = x
        blocks = {x.untyped_storage().data_ptr() for x in list(self.alive.values())}
        self.most = max(self.most, len(blocks - {self.table}))
        return result


def test_gradients_of_the_table_are_not_held_for_each_step():
    table = torch.randn(VOCABULARY, WIDTH, requires_grad=True)
    features = [torch.randn(TOKENS, WIDTH, requires_grad=True) for _ in range(4)]
    labels = [torch.randint(VOCABULARY, (TOKENS,)) for _ in features]
    with Blocks(table) as blocks:
        loss, _, _ = fused_loss(features, labels, [1.0, 0.5, 0.2, 0.1], (table, None), 1, 0.1)
        loss.backward()
    assert table.grad.abs().sum() > 0
    assert blocks.most == 1


class Products(TorchDispatchMode):
    """Counts the matrix products of the size of tokens x width x vocabulary."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        shapes = [x.shape for x in args if isinstance(x, torch.Tensor) and x.dim() == 2]
        if "mm" in function.name():
            a, b = shapes[-2:]
            self.seen += {*a, *b} == {VOCABULARY, WIDTH, TOKENS}
        return function(*args, **(kwargs or {}))


HALF = (torch.float16, torch.bfloat16)
WEIGHTS = (1.0, 0.7)


def problem(*, bias=True, sharp=1.0):
    """W, b and two steps' features in float32, and labels that a trained model could have."""
    table = torch.randn(VOCABULARY, WIDTH) * sharp * WIDTH**-0.5
    features = [torch.randn(3 * TOKENS, WIDTH), torch.randn(2 * TOKENS, WIDTH)]
    labels = []
    for h in features:
        y = (h @ table.T).topk(3)[1][:, 2]
        y[::3] = torch.randint(VOCABULARY, y[::3].shape)
        labels.append(torch.where(torch.arange(len(y)) % 5 == 2, 1, y))  # 1 is padding
    return [table, torch.randn(VOCABULARY) if bias else None, *features], labels


def result(loss_of, leaves, labels, dtype, eps=0.1, *, weights=WEIGHTS, grad=1.0):
    """The loss, and the gradients of table, bias and features, for ``grad`` times the loss."""
    leaves = [None if x is None else x.detach().to(dtype, copy=True) for x in leaves]
    given = [x.requires_grad_() for x in leaves if x is not None]
    table, bias, *features = leaves
    loss, _, _ = loss_of(features, labels, weights, (table, bias), 1, eps)
    (grad * loss).backward()
    return [loss.detach(), *(x.grad for x in given)]


def errors(results, truth):
    return [
        ((x.double() - y).norm() / y.norm()).item() for x, y in zip(results, truth, strict=True)
    ]


@pytest.mark.parametrize("dtype", [torch.float32, *HALF])
def test_a_step_takes_three_products_with_the_vocabulary_and_evaluation_one(dtype):
    table = torch.randn(VOCABULARY, WIDTH, dtype=dtype, requires_grad=True)
    features = [torch.randn(TOKENS, WIDTH, dtype=dtype, requires_grad=True) for _ in range(2)]
    labels = [torch.randint(VOCABULARY, (TOKENS,)) for _ in features]
    with Products() as products:
        fused_loss(features, labels, WEIGHTS, (table, None), 1, 0.1)[0].backward()
    assert products.seen == 2 * 3
    with Products() as products:
        fused_loss(features, labels, (1.0, 0.0), (table, None), 1, 0.1)[0].backward()
    assert products.seen == 3 + 1
    with Products() as products, torch.no_grad():
        fused_loss(features, labels, WEIGHTS, (table, None), 1, 0.1)
    assert products.seen == 2


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("eps", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("sharp", [1, 6])
def test_half_precision_is_closer_to_the_truth_than_the_plain_loss(dtype, bias, eps, sharp):
    leaves, labels = problem(bias=bias, sharp=sharp)
    rounded = [None if x is None else x.to(dtype) for x in leaves]
    truth = result(plain_loss, rounded, labels, torch.double, eps)
    fused = errors(result(fused_loss, rounded, labels, dtype, eps), truth)
    plain = errors(result(plain_loss, rounded, labels, dtype, eps), truth)
    assert fused[0] <= 1e-6
    slack = torch.finfo(dtype).eps / 8
    for own, other in zip(fused[1:], plain[1:], strict=True):
        assert own <= min(1.1 * other + slack, 1.5 * torch.finfo(dtype).eps)


@pytest.mark.parametrize(
    ("dtype", "grad"),
    [(torch.float16, 2.0**7), *((dtype, 2.0**15) for dtype in HALF), (torch.bfloat16, 2.0**-10)],
)
def test_an_incoming_gradient_multiplies_what_is_not_rounded_yet(dtype, grad):
    leaves, labels = problem()
    small = [1e-4 * w for w in WEIGHTS]  # float16 holds the gradients only where they are scaled
    truth = result(plain_loss, leaves, labels, torch.double, weights=small, grad=grad)
    fused = result(fused_loss, leaves, labels, dtype, weights=small, grad=grad)
    assert max(errors(fused, truth)) <= 2 * torch.finfo(dtype).eps


def test_powers_of_two_change_no_digit():
    leaves, labels = problem()
    one, small, large = (
        result(fused_loss, leaves, labels, torch.bfloat16, grad=grad)
        for grad in (1.0, 2.0**-10, 2.0**15)
    )
    for x, y, z in zip(one[1:], small[1:], large[1:], strict=True):
        assert torch.equal(x, 2.0**10 * y) and torch.equal(x, 2.0**-15 * z)


@pytest.mark.parametrize("dtype", HALF)
def test_autocast_gives_float32_gradients_that_are_not_rounded(dtype):
    leaves, labels = problem()
    truth = result(plain_loss, leaves, labels, torch.double)
    with torch.autocast("cpu", dtype):
        wide = result(fused_loss, leaves, labels, torch.float32)
    assert {x.dtype for x in wide} == {torch.float32}
    rounded = [x.to(dtype).float() for x in wide]
    assert not any(torch.equal(x, y) for x, y in zip(wide, rounded, strict=True))
    assert max(errors(wide, truth)) <= 2 * torch.finfo(dtype).eps


def test_float16_keeps_words_that_are_hardly_likely():
    table = torch.zeros(VOCABULARY, WIDTH)
    table[:, 0] = -torch.arange(VOCABULARY) / 16
    leaves, labels = [table[:256], None, torch.eye(1, WIDTH)], [torch.tensor([3])]
    least = torch.softmax(table[:256, 0], 0)[-1]
    assert least < torch.finfo(torch.float16).smallest_normal / 2**11  # to 0, unless it is scaled
    truth, fused = (
        result(loss_of, leaves, labels, dtype, 0.0, weights=(1.0,), grad=2.0**14)
        for loss_of, dtype in ((plain_loss, torch.double), (fused_loss, torch.float16))
    )
    torch.testing.assert_close(fused[1].double(), truth[1], rtol=5e-3, atol=0)


def test_padding_is_not_looked_at():
    leaves, labels = problem()
    expected = result(fused_loss, leaves, labels, torch.float32)
    for h, y in zip(leaves[2:], labels, strict=True):
        h[y == 1] = float("nan")
    actual = result(fused_loss, leaves, labels, torch.float32)
    assert all(torch.equal(x, y) for x, y in zip(actual, expected, strict=True))
    assert all((g[y == 1] == 0).all() for g, y in zip(actual[3:], labels, strict=True))


def test_the_chunks_change_nothing_but_the_order_of_sums(monkeypatch):
    leaves, labels = problem()
    whole = result(fused_loss, leaves, labels, torch.float16)
    monkeypatch.setattr(chunks, "rows_at_once", lambda table: 7)
    for own, other in zip(result(fused_loss, leaves, labels, torch.float16), whole, strict=True):
        torch.testing.assert_close(own, other, rtol=2e-3, atol=2e-3)


def test_a_product_that_must_be_rounded_does_not_overflow():
    a, b = torch.full((2, 2048), 2.0**10).half(), torch.randn(2048, 3).add_(3).half()
    torch.testing.assert_close(
        wide_products.rounded_product(a, b), a.float() @ b.float(), rtol=1e-3, atol=0
    )
    assert (a.float() @ b.float()).min() > torch.finfo(torch.float16).max


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("wide", [False, True])
def test_the_code_for_a_gpu_reads_no_value_and_sums_in_float32(monkeypatch, dtype, bias, wide):
    if wide and "dtype" not in torch.ops.aten.mm.overloads():
        pytest.skip("torch before 2.8 has no product that comes in float32")
    monkeypatch.setattr(wide_products, "HAS_WIDE", wide)
    with FakeTensorMode():  # shapes and types alone, so that a machine without a GPU has them
        like = {"device": "cuda", "dtype": dtype}
        table, given = torch.empty(90000, 64, **like), torch.empty(90000, **like) if bias else None
        work = chunks.Chunks((table, given), 1, 0.1, learns=True)
        labels = torch.empty(1700, dtype=torch.long, device="cuda")
        made = work.add(torch.empty(1700, 64, **like), labels, 0.5)
    made = [*made, work.table_grad, *([work.bias_grad] if bias else [])]
    assert {(x.device.type, x.dtype) for x in made} == {("cuda", torch.float32)}
