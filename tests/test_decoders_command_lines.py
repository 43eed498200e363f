"""BART, a language model and LightConv on fairseq's own command lines: train, decode, fine-tune."""

import re
from dataclasses import dataclass

import pytest
from commands import (
    FRESH,
    ONCE,
    PLUGIN,
    TEAFORN,
    TRANSLATION,
    export,
    first_loss,
    generate,
    refusal,
    run,
    train,
)

from teaforn_fairseq.decoders.base import UNSHARED_PREFIX
from teaforn_fairseq.models.twins import PREFIX

WIDTHS = [
    *("--encoder-layers", "1", "--encoder-embed-dim", "16", "--encoder-ffn-embed-dim", "32"),
    *("--encoder-attention-heads", "2", "--decoder-layers", "1", "--decoder-embed-dim", "16"),
    *("--decoder-ffn-embed-dim", "32", "--decoder-attention-heads", "2"),
]
# Two layers: fairseq cannot read one kernel size back from plain containers, an exported model's.
KERNELS = [
    *("--encoder-layers", "2", "--encoder-kernel-size-list", "[3,3]"),
    *("--decoder-layers", "2", "--decoder-kernel-size-list", "[3,3]"),
]
BLOCKS = ["--tokens-per-sample", "40"]
STOCK = ["--criterion", "label_smoothed_cross_entropy", "--label-smoothing", "0.1"]


@dataclass(frozen=True)
class Family:
    """An architecture, its sizes and its task."""

    arch: str
    sizes: list[str]
    task: list[str]


FAMILIES = {
    "bart": Family("bart_base", WIDTHS, TRANSLATION),
    "lightconv": Family(
        "lightconv_iwslt_de_en",
        [*WIDTHS, *KERNELS],
        TRANSLATION,
    ),
    "lm": Family(
        "transformer_lm_gpt",
        WIDTHS[WIDTHS.index("--decoder-layers") :],
        ["--task", "language_modeling", *BLOCKS],
    ),
}


@pytest.fixture(scope="session", params=FAMILIES)
def family(request, data, stream):
    """train(folder, twin, ...) for each family, its data folder and the family itself."""
    chosen = FAMILIES[request.param]
    folder = stream if request.param == "lm" else data

    def train_one(save_dir, *options, twin=True):
        arch = f"teaforn_{chosen.arch}" if twin else chosen.arch
        common = ["--arch", arch, *chosen.sizes]
        return train(folder, save_dir, *common, *options, task=chosen.task)

    return train_one, folder, request.param


@pytest.fixture(scope="session")
def stock_checkpoint(family, made_once):
    train_one, _, name = family
    options = [*STOCK, "--max-update", "6", "--disable-validation"]
    folder, _ = made_once(f"stock {name}", lambda folder: train_one(folder, *options, twin=False))
    return folder / "checkpoint_last.pt"


def decode(name, data, checkpoint, *options):
    """What the family's command makes of the test set."""
    if name != "lm":
        return generate(data, checkpoint, "--beam", "2", *options)
    out = run("fairseq-eval-lm", data, "--path", checkpoint, "--cpu", *BLOCKS, *options)
    return re.findall(r"Loss \(base 2\): [\d.]+, Perplexity: [\d.]+", out)


def test_a_twin_trains_and_decodes_what_stock_fairseq_decodes(family, tmp_path, edited):
    train_one, data, name = family
    options = [*TEAFORN, "--teaforn-n", "3", "--teaforn-unshared", "--max-update", "4"]
    log = train_one(tmp_path, *options)
    assert len(log["train_inner"]) == 4
    assert {"valid_nll_loss_1", "valid_nll_loss_3", "valid_ppl"} <= log["valid"][0].keys()
    twin = tmp_path / "checkpoint_last.pt"
    lines = decode(name, data, twin, "--user-dir", PLUGIN)
    assert len(lines) == 1 if name == "lm" else sum(x.startswith("H-") for x in lines) == 13
    assert decode(name, data, edited(twin, to_stock), "--user-dir", PLUGIN) == lines
    export(twin, tmp_path / "stock.pt")
    assert decode(name, data, tmp_path / "stock.pt") == lines  # no plugin here
    assert decode(name, data, tmp_path / "stock.pt", "--user-dir", PLUGIN) == lines


def to_stock(state):
    """The stock architecture's name, and its parameters alone."""
    model = state["cfg"]["model"]
    section = model if isinstance(model, dict) else vars(model)
    for name in {"_name", "arch"} & section.keys():
        section[name] = section[name].removeprefix(PREFIX)
    unshared = [name for name in state["model"] if name.startswith(UNSHARED_PREFIX)]
    assert unshared
    for name in unshared:
        del state["model"][name]


@pytest.fixture(scope="session")
def untrained(family, made_once):
    """The first loss of a model that loaded nothing."""
    train_one, _, name = family
    return first_loss(made_once(f"untrained {name}", lambda x: train_one(x, *TEAFORN, *ONCE))[1])


@pytest.mark.parametrize("option", ["--finetune-from-model", "--restore-file"])
def test_a_stock_checkpoint_loads_into_the_twin(
    family, stock_checkpoint, untrained, tmp_path, option
):
    train_one, _, _ = family
    once = [*ONCE, option, stock_checkpoint, *(FRESH if option == "--restore-file" else [])]
    stock = train_one(tmp_path / "a", *STOCK, *once, twin=False)
    twin = train_one(tmp_path / "b", *TEAFORN, *once)
    assert first_loss(twin) == first_loss(stock) != untrained


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("transformer_lm_gpt", "--arch: .* received transformer_lm_gpt. Use --arch teaforn_"),
        (  # of this architecture fairseq takes the widths one by one
            "teaforn_transformer_lm",
            "--decoder-output-dim: .* received --decoder-output-dim 512 with --decoder-embed-dim 16"
            ". Set --decoder-output-dim 16, or ",
        ),
    ],
)
def test_a_language_model_that_cannot_be_unrolled_is_refused_before_any_update(
    stream, tmp_path, arch, message
):
    options = ["--arch", arch, *FAMILIES["lm"].sizes, *FAMILIES["lm"].task, *TEAFORN]
    out = refusal(stream, tmp_path / "run", *options)
    assert re.search(f"ValueError: {message}", out), out
