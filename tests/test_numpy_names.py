"""Options of fairseq that stock runs only with an older numpy."""

import re
from pathlib import Path

import fairseq
import numpy as np
import pytest
import small_lm
import torch
from commands import PLUGIN, TEAFORN, Training, run, train
from fairseq.data import TokenBlockDataset
from fairseq.data.indexed_dataset import MMapIndexedDataset, MMapIndexedDatasetBuilder
from small_lm import num_tokens

from teaforn_fairseq.fairseq_fixes.numpy_names import MODULES

SHORT = ["--max-update", "2"]


@pytest.fixture
def with_second_valid(tmp_path):
    """copy(folder): data whose ``valid1`` is the test set."""

    def copy(folder):
        for path in folder.iterdir():
            (tmp_path / "more" / path.name).parent.mkdir(exist_ok=True)
            (tmp_path / "more" / path.name).symlink_to(path)
            if path.name.startswith("test."):
                second = path.name.replace("test.", "valid1.", 1)
                (tmp_path / "more" / second).symlink_to(path)
        return tmp_path / "more"

    return copy


def test_a_language_model_of_single_sentences(stream, numerals, tmp_path):
    options = [*SHORT, "--sample-break-mode", "eos"]
    small_lm.train(stream, tmp_path, *options)
    words = [stream, "--user-dir", PLUGIN, "--path", tmp_path / "checkpoint_last.pt", "--cpu"]
    words += ["--sample-break-mode", "eos", "--tokens-per-sample", "32"]
    printed = run("fairseq-eval-lm", *words)
    assert f"Evaluated {num_tokens(numerals / 'test.de')} tokens" in printed
    words += ["--task", "language_modeling", "--beam", "1", "--prefix-size", "1"]
    printed = run("fairseq-generate", *words)
    assert len(re.findall(r"^H-", printed, flags=re.MULTILINE)) == 13


@pytest.mark.parametrize("task", ["translation", "teaforn_translation"])
def test_several_validation_sets_combined(data, with_second_valid, tmp_path, task):
    options = [*TEAFORN, *SHORT, "--task", task, "--combine-val"]
    folder = with_second_valid(data)
    training = Training(folder, tmp_path / "run", *options, log=tmp_path / "log")
    assert len(training.finish()["valid"]) == 1
    assert "loaded 13 examples" in training.log.read_text()


def test_several_validation_sets_of_a_language_model_combined(stream, with_second_valid, tmp_path):
    data = with_second_valid(stream)
    log = small_lm.train(data, tmp_path / "run", *SHORT, "--combine-val")
    assert len(log["valid"]) == 1


def test_buckets(data, tmp_path):
    options = ["--num-batch-buckets", "3"]
    train(data, tmp_path, *TEAFORN, *SHORT, *options)
    words = [data, "--user-dir", PLUGIN, "--path", tmp_path / "checkpoint_last.pt", "--cpu"]
    printed = run("fairseq-generate", *words, *options, "--beam", "1")
    assert len(re.findall(r"^H-", printed, flags=re.MULTILINE)) == 13


def test_an_index_of_more_than_two_gigabytes_keeps_its_positions(tmp_path):
    """What ``fairseq-preprocess --workers`` does at its end; the data themselves are left out."""
    sizes = [2**29] * 3
    for path in (tmp_path / "part.bin", tmp_path / "all.bin"):
        path.touch()
    with MMapIndexedDataset.Index.writer(tmp_path / "part.idx", np.uint16) as index:
        index.write(sizes)
    builder = MMapIndexedDatasetBuilder(tmp_path / "all.bin", np.uint16)
    for _ in range(2):
        builder.merge_file_(str(tmp_path / "part"))
    builder.finalize(tmp_path / "all.idx")
    index = MMapIndexedDataset.Index(tmp_path / "all.idx")
    assert index._pointers.tolist() == [2**30 * number for number in range(6)]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("longest", [1, 70_000])
def test_sizes_of_sentences_are_exact(longest):
    sentences = [np.ones(longest), np.ones(1)]
    sizes = np.array([len(sentence) for sentence in sentences])
    tokens = [torch.from_numpy(s).long() for s in sentences]
    blocks = TokenBlockDataset(
        tokens, sizes, 512, pad=1, eos=2, break_mode="eos", include_targets=True
    )
    assert blocks.sizes.tolist() == [longest, 1]
    assert [len(block[0]) for block in blocks] == [longest, 1]


def test_fairseq_uses_no_other_name_that_numpy_lacks():
    """Outside of its examples, which are not installed as its tasks, models and data are."""
    root, mended = Path(fairseq.__file__).parent, {Path(module.__file__) for module in MODULES}
    lacking = {
        (path, name)
        for path in root.rglob("*.py")
        if "examples" not in path.relative_to(root).parts and path not in mended
        for name in re.findall(r"\bnp\.(\w+)", path.read_text(encoding="utf-8"))
        if not hasattr(np, name)
    }
    assert not lacking
    for module in MODULES:
        for name in re.findall(r"\bnp\.(\w+)", Path(module.__file__).read_text(encoding="utf-8")):
            assert hasattr(module.np, name), name
