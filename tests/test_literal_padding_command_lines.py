"""What the log of a training says where the text holds a literal ``<pad>``
(facebookresearch/fairseq issue 599)."""

import pytest
from commands import NO_DROPOUT, TEAFORN, train
from padded_text import LANGUAGE_MODEL, MORE, PAIR, write_data
from versions import NEEDS_SAFE_SOFTMAX

STOCK = ["--criterion", "label_smoothed_cross_entropy", "--label-smoothing", "0.1"]


def trained(data, task, *options, updates):
    """The log's records of some updates and their validation."""
    name = "-".join(["run", *(option.strip("-") for option in options)])
    common = ["--no-save", *NO_DROPOUT, "--max-update", updates]
    return train(data, data.parent / name, *common, *options, task=task)


@pytest.mark.parametrize("n", ["1", "2"])
def test_the_pair_of_the_issue_has_stocks_loss(tmp_path, n):
    data = write_data(tmp_path, [PAIR]) / "bin"
    stock = trained(data, ["--arch", "transformer_tiny"], *STOCK, updates=1)
    twin = ["--arch", "teaforn_transformer_tiny"]
    own = trained(data, twin, *TEAFORN, "--teaforn-n", n, updates=1)
    (expected,), (record,) = stock["train_inner"], own["train_inner"]
    assert record["nll_loss"] == record["nll_loss_1"] == expected["nll_loss"]
    assert own["valid"][0]["valid_nll_loss"] == own["valid"][0]["valid_nll_loss_1"]


@pytest.mark.parametrize(
    "kind", ["translation", pytest.param("language model", marks=NEEDS_SAFE_SOFTMAX)]
)
def test_nll_loss_is_nll_loss_1_in_every_line(tmp_path, kind):
    folder = write_data(tmp_path, [PAIR, *MORE] * 3)
    data, task = folder / "bin", ["--arch", "teaforn_transformer_tiny"]
    if kind == "language model":
        arch = ["--arch", "teaforn_transformer_lm_gpt2_tiny"]
        data, task = folder / "lm", [*LANGUAGE_MODEL, *arch]
    options = ["--update-freq", "2", "--max-sentences", "2"]
    records = trained(data, task, *TEAFORN, "--teaforn-n", "3", *options, updates=5)
    lines = [record for kind in ("train_inner", "train", "valid") for record in records[kind]]
    assert len(lines) > 5
    for line in lines:
        prefix = next(key for key in line if key.endswith("nll_loss")).removesuffix("nll_loss")
        assert line[f"{prefix}nll_loss"] == line[f"{prefix}nll_loss_1"], line
