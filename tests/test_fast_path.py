"""What makes a step cheap changes nothing else: fused loss, layers over real tokens, recomputation.

That loss and gradients follow the formula is shown by test_reference.py, test_decoders.py and
test_feedbacks.py, which run the fast path; here are its edges, its fallbacks, its precision and
what it keeps in memory.
"""

import logging

import pytest
import reference
import torch
from comparing import LOSSES, assert_same, loss_and_gradients, replayed
from fairseq.data import Dictionary
from torch.utils._python_dispatch import TorchDispatchMode

from teaforn_fairseq.loss import chunks
from teaforn_fairseq.loss.fused import fused_loss
from teaforn_fairseq.packed import transformer_layers as layers
from teaforn_fairseq.packed.transformer_layers import why_stock

WEIGHTS = (1, 0.5, 0.25)
FALLBACKS = {
    "LayerDrop": ({"decoder_layerdrop": 1e-9, "encoder_layerdrop": 1e-9}, "LayerDrop"),
    "checkpointed activations": (
        {"checkpoint_activations": True},
        "--checkpoint-activations, or another forward of their own",
    ),
    "source and target at once": (
        {"cross_self_attention": True, "no_cross_attention": True},
        "--cross-self-attention",
    ),
    "scaled heads": ({"scale_heads": True}, "--scale-heads"),
    "scaled attention": ({"scale_attn": True}, "--scale-attn"),
    "scaled feed-forward": ({"scale_fc": True}, "--scale-fc"),
    "scaled residuals": ({"scale_resids": True}, "--scale-resids"),
}


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(("options", "reason"), FALLBACKS.values(), ids=FALLBACKS)
def test_options_that_are_not_accelerated_fall_back_and_say_so_once(
    build, batch, teaforn, caplog, options, reason, shifted
):
    layers.say_once.cache_clear()
    model, sample = build(**options), batch((5, 3, 1, 4))
    assert why_stock(model.decoder.layers) == reason
    criterion = teaforn(3, label_smoothing=0.1, teaforn_labels="shifted" if shifted else "aligned")
    with caplog.at_level(logging.INFO):
        actual = loss_and_gradients(model, lambda: criterion(model, sample)[0])
        criterion(model, sample)
    expected = loss_and_gradients(
        model, lambda: reference.loss(model, sample, WEIGHTS, 0.1, shifted=shifted)
    )
    assert_same(actual, expected)
    message = f"the decoder runs fairseq's own layers, which are slower, because of {reason}"
    assert caplog.messages.count(message) == 1


def test_quant_noise_falls_back(build):  # and equals stock: fact 1 in test_facts.py
    layers = build(quant_noise_pq=0.1, quant_noise_pq_block_size=4).decoder.layers
    assert why_stock(layers) == "quant-noise, or other hooks"


def test_usual_options_are_accelerated(build):
    for options in ({}, {"dropout": 0.1, "attention_dropout": 0.1}, {"no_cross_attention": True}):
        model = build(**options)
        assert why_stock(model.decoder.layers) is why_stock(model.encoder.layers) is None


@pytest.mark.usefixtures("wide_softmax")
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("left_pad_target", [False, True])
@pytest.mark.parametrize("lengths", [((1, 1), (9, 2)), ((1, 6, 3), (1, 2, 12)), ((4,), (1,))])
def test_padding_at_both_ends_and_single_tokens(
    build, batch, teaforn, lengths, left_pad_target, loss
):
    model = build(share_all_embeddings=True, decoder_normalize_before=True)
    sample = batch(*lengths, left_pad_target=left_pad_target)
    sample["net_input"]["src_tokens"] = torch.nn.functional.pad(
        sample["net_input"]["src_tokens"], (2, 3), value=1
    )  # an empty head and tail beside each source's own padding
    criterion = teaforn(3, label_smoothing=0.1, teaforn_loss_impl=loss)
    actual = loss_and_gradients(model, lambda: criterion(model, sample)[0])
    expected = loss_and_gradients(model, lambda: reference.loss(model, sample, WEIGHTS, 0.1))
    assert_same(actual, expected)


@pytest.mark.parametrize("chunk", [1, 3, 512])
@pytest.mark.parametrize("eps", [0.0, 0.1])
def test_fused_loss_with_a_bias_in_any_chunks(monkeypatch, chunk, eps):
    monkeypatch.setattr(chunks, "rows_at_once", lambda table: chunk)
    hs = [torch.randn(n, 4, dtype=torch.double, requires_grad=True) for n in (7, 5)]
    table = torch.randn(9, 4, dtype=torch.double, requires_grad=True)
    bias = torch.randn(9, dtype=torch.double, requires_grad=True)
    ys = [torch.tensor([1, 2, 8, 1, 0, 3, 3]), torch.tensor([5, 1, 4, 4, 7])]  # 1 is padding
    weights, leaves = (0.7, 1.3), [*hs, table, bias]

    def slow():
        total, sums = 0.0, []
        for h, y, weight in zip(hs, ys, weights, strict=True):
            real = [(h[t] @ table.T + bias, y[t]) for t in range(len(y)) if y[t] != 1]
            total = total + weight * sum(reference.label_loss(z, word, eps) for z, word in real)
            sums.append(sum(reference.label_loss(z, word, 0.0) for z, word in real))
        return total, torch.stack(sums)

    loss, nll, _ = fused_loss(hs, ys, weights, (table, bias), 1, eps)
    expected, expected_nll = slow()
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(nll, expected_nll, rtol=1e-12, atol=1e-12)
    actual = torch.autograd.grad(3 * loss, leaves)
    for own, other in zip(actual, torch.autograd.grad(3 * expected, leaves), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-11, atol=1e-11)
    loss, _, _ = fused_loss(hs, ys, weights, (table, bias), 1, eps)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_fused_loss_is_as_precise_as_the_plain_one(build, batch, teaforn, dtype):
    sample = batch((9, 5, 1, 7, 8, 6))
    model = build(share_all_embeddings=True, encoder_embed_dim=32, decoder_embed_dim=32)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)

    def result(loss_impl):
        criterion = teaforn(3, label_smoothing=0.1, teaforn_loss_impl=loss_impl)
        loss, gradients = loss_and_gradients(model, lambda: criterion(model, sample)[0])
        return torch.cat([loss.view(1), *(g.flatten() for g in gradients.values())]).double()

    model.to(dtype)  # the truth is that of the rounded parameters
    model.double()
    truth = result("plain")
    model.to(dtype)
    fused, plain = result("fused"), result("plain")
    slack = 4 * torch.finfo(dtype).eps
    for part in (slice(0, 1), slice(1, None)):
        error = [(x[part] - truth[part]).norm() / truth[part].norm() for x in (fused, plain)]
        assert error[0] <= 2 * error[1] + slack


DROPOUT = {"dropout": 0.3, "attention_dropout": 0.2, "activation_dropout": 0.1}
REPLAYED = {
    "hidden": {},
    "gumbel": {"teaforn_feedback": "gumbel"},
    "sample": {"teaforn_feedback": "sample", "teaforn_mix": "0.5"},
    "shifted": {"teaforn_labels": "shifted"},
    "plain loss": {"teaforn_loss_impl": "plain"},
}


@pytest.mark.parametrize("unshared", [False, True])
@pytest.mark.parametrize("options", REPLAYED.values(), ids=REPLAYED)
def test_recomputation_changes_no_bit(build, batch, teaforn, options, unshared):
    model, sample = build(teaforn_unshared=unshared, **DROPOUT), batch((6, 3, 5))

    def result(recompute):
        criterion = teaforn(4, teaforn_recompute=recompute, **options)
        return loss_and_gradients(model, lambda: replayed(lambda: criterion(model, sample)[0]))

    (loss, gradients), (own_loss, own_gradients) = result(False), result(True)
    assert torch.equal(own_loss, loss)
    for name, gradient in gradients.items():
        assert torch.equal(own_gradients[name], gradient), name


@pytest.mark.parametrize("site", DROPOUT)
def test_each_dropout_acts_in_training_alone(build, batch, teaforn, site):
    model, sample = build(**{site: 0.5}), batch((6, 5))

    def loss(seed):
        torch.manual_seed(seed)
        return teaforn(1)(model, sample)[0].item()

    assert loss(1) == loss(1) != loss(2)
    model.eval()
    assert loss(1) == loss(2)


def test_dropout_keeps_the_mean(build):
    dropout = build(dropout=0.3).decoder.layers[0].dropout_module
    kept = layers._drop(dropout, torch.ones(100_000))
    assert kept.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert kept.mean().item() == pytest.approx(1, abs=0.01)  # five standard deviations


@pytest.mark.parametrize("one_by_one", [True, False])
def test_dropout_is_native_dropout_to_the_last_bit(build, monkeypatch, one_by_one):
    if not one_by_one:  # as on Intel's CPUs
        monkeypatch.setattr(layers, "_draws_one_by_one", lambda: False)
    dropout = build(dropout=0.3).decoder.layers[0].dropout_module
    x, grad = torch.randn(50, 30, requires_grad=True), torch.randn(50, 30)
    results = []
    for drop in (layers._drop, lambda _, x: torch.native_dropout(x, 0.3, True)[0]):
        torch.manual_seed(2)
        y = drop(dropout, x.clone())
        results.append((y, *torch.autograd.grad(y, x, grad), torch.rand(3)))
    assert all(map(torch.equal, *results))


@pytest.fixture
def saved():
    """saved(model, compute): sizes of what compute() keeps for the backward pass, in elements."""

    def measure(model, compute):
        parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
        storages = {}

        def note(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in parameters:
                storages[storage.data_ptr()] = (storage.nbytes() // tensor.itemsize, tensor)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = compute()
        assert loss.requires_grad
        return [elements for elements, _ in storages.values()]

    return measure


@pytest.fixture
def many_words(task, monkeypatch):
    """A vocabulary much larger than the model is wide."""
    words = Dictionary()
    for number in range(3000):
        words.add_symbol(f"word{number}")
    monkeypatch.setattr(task, "src_dict", words)
    monkeypatch.setattr(task, "tgt_dict", words)
    return len(words)


def test_no_logits_are_kept_and_recomputation_keeps_memory_flat(
    build, batch, teaforn, saved, many_words
):
    model, sample = build(share_all_embeddings=True), batch((9, 5, 8))

    def kept(n, **options):
        criterion = teaforn(n, label_smoothing=0.1, **options)
        return saved(model, lambda: criterion(model, sample)[0])

    logits = sample["ntokens"] * many_words
    assert max(kept(3, teaforn_loss_impl="plain")) >= logits  # the measure sees them
    # The one (V, C) gradient of the projection is all that is as large as the vocabulary.
    big = [elements for elements in kept(3) if elements >= many_words]
    assert big == [many_words * 8]
    steps = {n: sum(kept(n)) for n in (2, 3, 4)}
    flat = {n: sum(kept(n, teaforn_recompute=True)) for n in (2, 3, 4)}
    assert steps[4] - steps[3] == steps[3] - steps[2]
    assert 0 < flat[4] - flat[3] == flat[3] - flat[2] < (steps[3] - steps[2]) / 4


class Synchronisations(TorchDispatchMode):
    """Counts what makes a CPU wait for a GPU."""

    NAMES = ("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select")

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.name() in self.NAMES:
            self.seen.append(function.name())
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("options", REPLAYED.values(), ids=REPLAYED)
def test_a_step_waits_for_nothing_but_the_number_of_source_tokens_on_a_cpu(
    build, batch, teaforn, options
):
    # fairseq's sinusoidal positions read their own shapes back, from tensors that are never on a
    # GPU.
    learned = {"encoder_learned_pos": True, "decoder_learned_pos": True}
    model = build(share_all_embeddings=True, **DROPOUT, **learned)
    sample = batch((6, 3, 5))
    model.note_slots(sample)  # as fairseq's trainer does before a batch goes to a GPU
    criterion = teaforn(3, label_smoothing=0.1, teaforn_sample_positions=0.5, **options)
    with Synchronisations() as mode:
        criterion(model, sample)[0].backward()
    assert mode.seen == ["aten::_local_scalar_dense"]


@pytest.mark.parametrize(("loss", "said"), [("plain", "logits"), ("fused", "chunks")])
def test_the_log_says_how_the_loss_is_made(teaforn, caplog, loss, said):
    with caplog.at_level(logging.INFO):
        teaforn(2, teaforn_loss_impl=loss)
    assert caplog.messages[-1] == f"loss by {said}"
