"""The Python of docs/architecture.md runs as it stands, each block in a process of its own."""

import re

import pytest
import torch
from commands import CHECKOUT, ROOT, export, run

PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
UNROLL, TWIN, STOCK = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture(scope="module")
def folder(preprocessed, learned, tmp_path_factory):
    folder = tmp_path_factory.mktemp("python")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/checkpoint_best.pt").symlink_to(learned[-1])
    (folder / "data-bin").symlink_to(preprocessed / "bin")
    (folder / "spm.model").symlink_to(preprocessed / "spm.model")
    export(learned[-1], folder / "checkpoints/stock.pt")
    return folder


def last_line(block, folder, **kwargs):
    (folder / "block.py").write_text(block, encoding="utf-8")
    return run("python", "block.py", cwd=folder, **kwargs).splitlines()[-1]


def test_an_unroll_gives_the_loss_of_each_step(folder):
    losses = eval(last_line(UNROLL, folder, env=CHECKOUT), {"tensor": torch.tensor})
    assert losses.shape == (3,)
    assert 0 < losses[0] < losses[1] < losses[2]  # later steps know less


def test_a_twin_and_its_export_translate_text_alike(folder):
    twin = last_line(TWIN, folder, env=CHECKOUT)
    assert re.fullmatch(r"[a-z ]{3,}", twin)
    assert twin == last_line(STOCK, folder, env={"PYTHONPATH": ""})  # without the plugin
