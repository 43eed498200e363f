"""A step on a GPU that is not there: nothing is left on the CPU, and no value is waited for.

PyTorch's fake tensors know shapes, types and devices but no numbers. An operation on two devices
is an error with them, and so is one whose result has to be waited for or comes from the CPU. They
have no backward pass without a GPU; tests/gpu runs it on one.
"""

import sys

import pytest
import torch
from device_steps import CASES, LEARNED, on_device, sample_for, small
from fairseq import utils
from fairseq.models import lightconv
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.overrides import TorchFunctionMode

GPU = torch.device("cuda")
WAITED = (DataDependentOutputException, DynamicOutputShapeException)
# It asks whether there is padding.
STOCK_ENCODER = lightconv.__file__


class Pretended(TorchFunctionMode):
    """Does without CUDA what a GPU that is there would do.

    Before some operations PyTorch asks for CUDA: others make the same. And fairseq's LightConv
    encoder hears that there is padding.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        function = INSTEAD.get(function, function)
        if (
            function is torch.Tensor.__bool__
            and sys._getframe(1).f_code.co_filename == STOCK_ENCODER
        ):
            return True
        return function(*args, **(kwargs or {}))


def indexed(x, index):
    """``x[index]`` without an ellipsis."""
    dim = 0
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, int):
            x = x.select(dim, part)
            continue
        if part is None:
            x = x.unsqueeze(dim)
        elif isinstance(part, slice):
            x = torch.ops.aten.slice(x, dim, part.start, part.stop, part.step or 1)
        else:
            x = torch.ops.aten.index(x, [None] * dim + [part])
        dim += 1
    return x


INSTEAD = {
    torch.Tensor.__getitem__: indexed,
    torch.Tensor.__invert__: torch.logical_not,
    torch.Tensor.contiguous: lambda x: x.clone(memory_format=torch.contiguous_format),
    torch.Tensor.new: lambda x: x.new_empty(0),
    torch.Tensor.copy_: torch.ops.aten.copy_,
}


@pytest.fixture
def step(build, batch, task, teaforn):
    """step(arch, model options, criterion options): loss and log, with every tensor fake."""

    def run(arch, model_options, options):
        criterion, sample = teaforn(**options), sample_for(arch, task, batch)
        model = small(build, arch, **LEARNED | model_options).float()
        on_cpu = on_device(sample, "cpu", model, criterion)
        with FakeTensorMode(), torch.no_grad():
            sent = utils.apply_to_sample(there, on_cpu)
            become_fake(model)
            with Pretended():
                loss, _, log = criterion(model, sent)
        return loss, log

    return run


def there(tensor):
    """A fake one like it on the GPU that is not there."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=GPU)


def become_fake(model):
    """Parameters and buffers, those that modules share as one."""
    made = {}
    for module in model.modules():
        for own in (module._parameters, module._buffers):
            for name, x in own.items():
                if x is not None:
                    own[name] = made.setdefault(x, there(x))


WORDS = {"input": torch.long, "weight": torch.float}


def needs_driver():
    """Whether this PyTorch asks for CUDA's driver to look up fake words, as 2.4 does."""
    with FakeTensorMode(), Pretended():
        try:
            fake = {x: torch.ones(2, 2, dtype=y, device=GPU) for x, y in WORDS.items()}
            torch.nn.functional.embedding(**fake)
        except RuntimeError:
            return True
    return False


@pytest.mark.skipif(needs_driver(), reason="this PyTorch's fake tensors ask for CUDA's driver")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_step_stays_on_the_gpu_and_waits_for_nothing(step, case):
    loss, log = step(*case)
    assert loss.device.type == "cuda"
    assert {x.device.type for x in log.values() if torch.is_tensor(x)} == {"cuda"}


WAITS = {
    "one value": lambda x: x.sum().item(),
    "a condition": lambda x: bool(x.any()),
    "how many there are": torch.ops.aten.nonzero,
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_wait_is_an_error(wait):  # or the test above would be empty
    with FakeTensorMode(), Pretended(), pytest.raises(WAITED):
        wait(torch.empty(3, device=GPU))


@pytest.mark.skipif(torch.version.cuda is not None, reason="PyTorch with CUDA copies it")
def test_a_value_from_the_cpu_is_an_error():  # a GPU is waited for when one comes
    with FakeTensorMode(), Pretended(), pytest.raises(RuntimeError, match="not linked"):
        torch.empty(3, device=GPU).new_tensor(1.0)
