"""A training step on a GPU: the CPU's numbers, finite in half precision, and without a wait."""

import warnings

import pytest
import torch
from comparing import loss_and_gradients
from device_steps import (
    CASES,
    DETERMINISTIC_CASES,
    FAMILIES,
    RANDOM_CASES,
    on_device,
    sample_for,
    small,
)

HALVES = [torch.float16, torch.bfloat16]
# Sums in another order; a wrong term would be off by a share of the whole.
CLOSE = 1e-4


@pytest.fixture
def step(build, batch, task, teaforn, device):
    """step(arch, model options, criterion options): model, criterion and batch on the device, and
    the batch on the CPU."""

    def make(arch, model_options, options, dtype=torch.float32):
        model, criterion = small(build, arch, **model_options), teaforn(**options)
        sample = sample_for(arch, task, batch)
        sent = on_device(sample, device, model, criterion)
        return model.to(device, dtype), criterion, sent, sample

    return make


def joined(gradients):
    return torch.cat([g.flatten() for g in gradients.values()]).cpu().double()


def assert_all_finite(model):
    # fairseq's DynamicConv has this one, and reads it where it is asked for a bias alone.
    for name, p in model.named_parameters():
        assert name.endswith("conv.conv_bias") or p.grad.isfinite().all(), name


@pytest.mark.parametrize("case", DETERMINISTIC_CASES.values(), ids=DETERMINISTIC_CASES)
def test_loss_and_gradients_are_those_of_the_cpu(step, case):
    model, criterion, sample, on_cpu = step(*case)
    loss, gradients = loss_and_gradients(model, lambda: criterion(model, sample)[0])
    actual = joined(gradients)
    model.cpu().double()
    truth, expected = loss_and_gradients(model, lambda: criterion(model, on_cpu)[0])
    assert loss.item() == pytest.approx(truth.item(), rel=CLOSE)
    assert gradients.keys() == expected.keys()
    expected = joined(expected)
    assert (actual - expected).norm() <= CLOSE * expected.norm()


@pytest.mark.parametrize("case", RANDOM_CASES.values(), ids=RANDOM_CASES)
def test_random_settings_give_every_parameter_a_finite_gradient(step, case):
    model, criterion, sample, _ = step(*case)
    loss, _ = loss_and_gradients(model, lambda: criterion(model, sample)[0])
    assert loss.isfinite()
    assert_all_finite(model)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_half_precision_is_finite(step, case, dtype):
    model, criterion, sample, _ = step(*case, dtype=dtype)
    loss, _ = loss_and_gradients(model, lambda: criterion(model, sample)[0])
    assert loss.dtype == torch.float32 and loss.isfinite()
    assert_all_finite(model)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_autocast_is_finite(step, case):  # as in --amp
    model, criterion, sample, _ = step(*case)
    with torch.autocast(sample["target"].device.type, torch.float16):
        loss, _, _ = criterion(model, sample)
    loss.backward()
    assert loss.isfinite()
    assert_all_finite(model)


def waits(compute):
    """What makes the CPU wait for the GPU, as PyTorch's warnings say it; after a warm-up."""
    compute().backward()
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            compute().backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return [
        f"{x.filename}:{x.lineno}"
        for x in seen
        if "called a synchronizing CUDA operation" in str(x.message)
    ]


def test_a_wait_is_seen(device):  # or the tests below would be empty
    x = torch.ones(3, device=device, requires_grad=True)
    assert len(waits(lambda: x.sum() * x.sum().item())) >= 1


# fairseq's own encoder of these asks, once, whether there is padding.
STOCK_ENCODERS = {"lightconv": 1, "dynamicconv": 1}


@pytest.mark.parametrize(("name", "case"), CASES.items(), ids=CASES)
def test_a_step_waits_for_nothing(step, name, case):
    model, criterion, sample, _ = step(*case)
    found = waits(lambda: criterion(model, sample)[0])
    assert len(found) <= STOCK_ENCODERS.get(name.split(",")[0], 0), found


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_adds_no_wait_to_the_stock_one(
    step, build, teaforn, stock_criterion, device, family
):
    arch, options = FAMILIES[family]
    model, criterion, sample, _ = step(arch, options, {"n": "3"})
    stock = small(build, arch, "", **options).to(device, torch.float32)
    stock_waits = waits(lambda: stock_criterion()(stock, sample)[0])
    assert len(waits(lambda: criterion(model, sample)[0])) <= len(stock_waits), stock_waits
