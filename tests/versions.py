"""What only newer versions of PyTorch have."""

import pytest
import torch

TORCH = tuple(map(int, torch.__version__.split(".")[:2]))
NEEDS_SAFE_SOFTMAX = pytest.mark.skipif(
    TORCH < (2, 5),
    reason="torch before 2.5 gives NaN where a slot has nothing to attend to, in stock fairseq too",
)
NEEDS_BYTES = pytest.mark.skipif(
    TORCH < (2, 6), reason="the safe loader of torch before 2.6 takes no bytes, so none come in"
)
