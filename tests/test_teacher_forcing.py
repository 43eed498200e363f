"""N = 1 with the plain loss is fairseq's label_smoothed_cross_entropy, bit for bit."""

import pytest
import torch
from fairseq.models import ARCH_MODEL_INV_REGISTRY, ARCH_MODEL_REGISTRY

ARCHS = ARCH_MODEL_INV_REGISTRY["transformer"]


@pytest.fixture
def pair(build):
    """The stock model and its twin with the same parameters."""

    def build_pair(**options):
        stock = build("transformer", **options)
        twin = build("teaforn_transformer", **options)
        twin.load_state_dict(stock.state_dict(), strict=True)
        return stock, twin

    return build_pair


@pytest.mark.parametrize("arch", ARCHS)
def test_every_transformer_architecture_has_a_twin_with_its_parameters(build, arch):
    sizes = {"encoder_layers": 1, "decoder_layers": 1}
    stock, twin = (build(name, **sizes) for name in (arch, f"teaforn_{arch}"))
    assert ARCH_MODEL_REGISTRY[f"teaforn_{arch}"] is type(twin)
    assert list(stock.state_dict()) == list(twin.state_dict())
    assert vars(stock.args) | {"arch": f"teaforn_{arch}"} == vars(twin.args)


@pytest.mark.parametrize("eps", [0.0, 0.1])
def test_loss_log_and_every_gradient_are_the_stock_ones(pair, batch, teaforn, stock_criterion, eps):
    stock, twin = pair(share_all_embeddings=True)
    sample = batch()
    loss, size, log = stock_criterion(eps, report_accuracy=True)(stock, sample)
    own_loss, own_size, own_log = teaforn(
        1, label_smoothing=eps, report_accuracy=True, teaforn_loss_impl="plain"
    )(twin, sample)
    loss.backward()
    own_loss.backward()
    assert (own_loss, own_size) == (loss, size)
    first_step = {f"{key}_1": log[key] for key in ("nll_loss", "ntokens", "n_correct", "total")}
    assert own_log == log | first_step
    for (name, p), (own_name, own_p) in zip(
        stock.named_parameters(), twin.named_parameters(), strict=True
    ):
        assert own_name == name
        assert torch.equal(own_p.grad, p.grad), name


def test_training_curve_and_final_parameters_are_the_stock_ones(
    pair, batch, teaforn, stock_criterion
):
    stock, twin = pair(dropout=0.3)
    batches = [batch((4, 2, 3)) for _ in range(4)]
    curves = []
    for model, criterion in (
        (stock, stock_criterion(0.1)),
        (twin, teaforn(1, label_smoothing=0.1, teaforn_loss_impl="plain")),
    ):
        torch.manual_seed(7)  # the same dropout
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        curve = []
        for update in range(48):
            optimizer.zero_grad()
            loss, _, _ = criterion(model, batches[update % len(batches)])
            loss.backward()
            optimizer.step()
            curve.append(loss.item())
        curves.append(curve)
    assert curves[0] == curves[1]
    assert curves[0][-1] < 0.8 * curves[0][0]
    for p, own_p in zip(stock.parameters(), twin.parameters(), strict=True):
        assert torch.equal(p, own_p)


def test_called_the_stock_way_the_twin_computes_the_stock_output(pair, batch):
    stock, twin = pair()
    net_input = batch()["net_input"]
    expected, actual = stock(**net_input), twin(**net_input)
    assert torch.equal(actual[0], expected[0])
    assert torch.equal(actual[1]["attn"][0], expected[1]["attn"][0])
