"""On a GPU: every test of this folder is marked ``gpu`` and skipped where there is none."""

from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="torch.cuda.is_available() is false"))


@pytest.fixture
def device():
    """The GPU, with float32 products in float32."""
    torch.set_float32_matmul_precision("highest")  # some builds set another default
    return torch.device("cuda")
