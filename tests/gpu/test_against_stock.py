"""With N = 1 a twin on a GPU is as close to the truth as stock fairseq is, in every precision."""

import pytest
import torch
from comparing import loss_and_gradients
from device_steps import SHARED, on_device, sample_for, small

# Both round, ours in other places (fused attention): by chance one is some way ahead. A wrong term,
# or a sum in half precision, is several times as far off.
FACTOR = 1.5
# What is equal anyway; fused attention makes a float32 product of three in TF32.
FLOORS = {torch.float32: 1e-5, torch.float16: 2 * 2**-10, torch.bfloat16: 2 * 2**-7}


@pytest.mark.parametrize("loss_impl", ["plain", "auto"])
@pytest.mark.parametrize("dtype", FLOORS, ids=str)
def test_one_step_is_as_precise_as_the_stock_one(
    build, batch, task, teaforn, stock_criterion, device, dtype, loss_impl
):
    stock, twin = (small(build, "transformer", prefix, **SHARED) for prefix in ("", "teaforn_"))
    stock.to(dtype)  # the truth is that of the rounded parameters
    twin.load_state_dict(stock.state_dict())
    twin.to(dtype)
    on_cpu = sample_for("transformer", task, batch)
    sample = on_device(on_cpu, device, twin)
    stock_loss = stock_criterion(0.1)
    own_loss = teaforn("1", label_smoothing=0.1, teaforn_loss_impl=loss_impl)

    def result(model, criterion, sample):
        loss, gradients = loss_and_gradients(model, lambda: criterion(model, sample)[0])
        parts = [loss.view(1), *(gradients[name].flatten() for name in sorted(gradients))]
        return torch.cat([x.cpu().double() for x in parts])

    own = result(twin.to(device), own_loss, sample)
    usual = result(stock.to(device), stock_loss, sample)
    truth = result(stock.cpu().double(), stock_loss, on_cpu)
    for part in (slice(0, 1), slice(1, None)):
        error, allowed = ((x[part] - truth[part]).norm() / truth[part].norm() for x in (own, usual))
        assert error <= FACTOR * allowed + FLOORS[dtype]
