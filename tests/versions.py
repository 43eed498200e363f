"""What only newer versions of PyTorch have."""

import pytest
import torch

NEEDS_FUSED = pytest.mark.skipif(
    not hasattr(torch.nn, "LinearCrossEntropyOptions"),
    reason="torch before 2.13 has no linear_cross_entropy in chunks",
)
TORCH = tuple(map(int, torch.__version__.split(".")[:2]))
NEEDS_SAFE_SOFTMAX = pytest.mark.skipif(
    TORCH < (2, 5),
    reason="torch before 2.5 gives NaN where a slot has nothing to attend to, in stock fairseq too",
)
NEEDS_BYTES = pytest.mark.skipif(
    TORCH < (2, 6), reason="the safe loader of torch before 2.6 takes no bytes, so none come in"
)
LOSSES = [pytest.param("fused", marks=NEEDS_FUSED), "plain"]
