"""What only newer versions of PyTorch have."""

import pytest
import torch

NEEDS_FUSED = pytest.mark.skipif(
    not hasattr(torch.nn, "LinearCrossEntropyOptions"),
    reason="torch before 2.13 has no linear_cross_entropy in chunks",
)
LOSSES = [pytest.param("fused", marks=NEEDS_FUSED), "plain"]
