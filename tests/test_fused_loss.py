"""What the fused loss holds while it works."""

from weakref import WeakValueDictionary

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from versions import NEEDS_FUSED

from teaforn_fairseq.loss.fused import fused_loss

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


@NEEDS_FUSED
def test_gradients_of_the_table_are_not_held_for_each_step():
    table = torch.randn(VOCABULARY, WIDTH, requires_grad=True)
    features = [torch.randn(TOKENS, WIDTH, requires_grad=True) for _ in range(4)]
    labels = [torch.randint(VOCABULARY, (TOKENS,)) for _ in features]
    with Blocks(table) as blocks:
        loss, _, _ = fused_loss(features, labels, [1.0, 0.5, 0.2, 0.1], (table, None), 1, 0.1)
        loss.backward()
    assert table.grad.abs().sum() > 0
    assert blocks.most == 2  # the sum so far, and that of the step at work
