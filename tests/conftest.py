"""Small real models and batches: a dictionary of a dozen words, real tasks, real criterions."""

import json
import os
import shutil
from argparse import Namespace

import fairseq.modules
import published
import pytest
import torch
from commands import ROOT, TEAFORN, run, train
from fairseq import utils as fairseq_utils
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.data import Dictionary
from fairseq.data.language_pair_dataset import collate
from fairseq.models import build_model as build_fairseq_model
from fairseq.tasks.translation import TranslationConfig, TranslationTask
from filelock import FileLock
from recipe_commands import TINY as TINY_RECIPE

import teaforn_fairseq  # noqa: F401  registers the twins
from teaforn_fairseq.criterions.options import TeaForNCrossEntropyCriterionConfig
from teaforn_fairseq.criterions.teaforn_cross_entropy import TeaForNCrossEntropyCriterion

# As most users have it: what a command says last must come last without it too.
os.environ.pop("PYTHONUNBUFFERED", None)

SMALL = {
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_embed_dim": 8,
    "decoder_embed_dim": 8,
    "encoder_ffn_embed_dim": 16,
    "decoder_ffn_embed_dim": 16,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    **dict.fromkeys(("dropout", "attention_dropout", "activation_dropout", "input_dropout"), 0.0),
    "max_source_positions": 64,
    "max_target_positions": 64,
}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(1)


@pytest.fixture
def wide_softmax(monkeypatch):
    """Stock encoder attention, loss and gelu compute in float32 even on float64 input.

    For comparisons at 1e-9 they keep the input's own precision here; half precision stays.
    """
    for name in ("softmax", "log_softmax"):
        function = getattr(torch.nn.functional, name)

        def at_least_float32(x, dim, onnx_trace=False, function=function):
            return function(x, dim=dim, dtype=torch.promote_types(x.dtype, torch.float32))

        monkeypatch.setattr(fairseq_utils, name, at_least_float32)

    def gelu(x):
        wide = torch.promote_types(x.dtype, torch.float32)
        return torch.nn.functional.gelu(x.to(wide)).type_as(x)

    monkeypatch.setattr(fairseq.modules, "gelu", gelu)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """made_once(name, make): a folder, and what make(folder) returned, plain JSON, on filling it.

    pytest-xdist's processes share it: the first to ask makes it, the others wait.
    """
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root

    def shared(name, make):
        folder, result = root / name, root / f"{name}.json"
        with FileLock(root / f"{name}.lock"):
            if not result.exists():
                shutil.rmtree(folder, ignore_errors=True)  # from where it failed
                folder.mkdir()
                result.write_text(json.dumps(make(folder)))
        return folder, json.loads(result.read_text())

    return shared


@pytest.fixture(scope="session")
def numerals(made_once):
    """Numerals and dates, small: raw/{train,valid,test}.{en,de}."""
    sizes = ["--train", "300", "--valid", "20", "--test", "13"]
    script = ROOT / "scripts/numerals_corpus.py"
    folder, _ = made_once("numerals", lambda x: run("python", script, "--out", x / "raw", *sizes))
    return folder / "raw"


@pytest.fixture(scope="session")
def preprocessed(numerals, made_once):
    """bin and spm.model, by the recipes' own sentencepiece and fairseq-preprocess stage."""

    def make(folder):
        (folder / "clean").symlink_to(numerals)
        env = {**TINY_RECIPE, "OUT": str(folder)}
        run(ROOT / "scripts/recipe.sh", "numerals", "preprocess", env=env)

    return made_once("preprocessed", make)[0] / "data"


@pytest.fixture(scope="session")
def data(preprocessed):
    """A data folder for fairseq-train: 300, 20 and 13 sentence pairs."""
    return preprocessed / "bin"


@pytest.fixture(scope="session")
def stream(numerals, made_once):
    """A data folder for language modelling: the German side alone, as words."""

    def make(folder):
        texts = [
            part
            for split in ("train", "valid", "test")
            for part in (f"--{split}pref", numerals / f"{split}.de")
        ]
        run("fairseq-preprocess", "--only-source", *texts, "--destdir", folder)

    return made_once("stream", make)[0]


@pytest.fixture(scope="session")
def prompted(numerals, made_once):
    """A data folder for language modelling: lines of English, "=>" and German, as words."""

    def make(folder):
        for split in ("train", "valid", "test"):
            pairs = [(numerals / f"{split}.{x}").read_text().splitlines() for x in ("en", "de")]
            text = "".join(f"{en} => {de}\n" for en, de in zip(*pairs, strict=True))
            (folder / split).write_text(text)
        texts = [x for name in ("train", "valid", "test") for x in (f"--{name}pref", folder / name)]
        run("fairseq-preprocess", "--only-source", *texts, "--destdir", folder)

    return made_once("prompted", make)[0]


@pytest.fixture(scope="session")
def archives(numerals, made_once):
    """All archives of all recipes in one folder."""
    corpus = {
        tuple(path.name.split(".")): path.read_text(encoding="utf-8").splitlines()
        for path in numerals.iterdir()
    }

    def make(folder):
        published.make_wmt14(folder, corpus)
        published.make_iwslt14(folder, corpus)
        published.make_multi30k(folder, corpus)
        published.make_gigaword(folder, corpus)
        published.make_cnndm(folder, corpus)
        published.make_bart(folder)

    return made_once("archives", make)[0]


@pytest.fixture(scope="session")
def checksums(archives, tmp_path_factory):
    path = tmp_path_factory.mktemp("checksums") / "sha256"
    published.write_checksums(archives, path)
    return path


@pytest.fixture(scope="session")
def mirror(archives):
    with published.served(archives) as (address, _):
        yield address


@pytest.fixture
def settings(mirror, checksums, tmp_path):
    """The environment of a recipe in this test's own folder."""
    return {
        **TINY_RECIPE,
        "MIRROR": mirror,
        "CHECKSUMS": str(checksums),
        "OUT": str(tmp_path / "out"),
    }


@pytest.fixture(scope="session")
def trained(data, made_once):
    """A TeaForN run of twelve updates over several epochs, never stopped: its folder and log."""
    options = [*TEAFORN, "--teaforn-n", "3", "--max-update", "12"]
    return made_once("trained", lambda folder: train(data, folder, *options))


@pytest.fixture(scope="session")
def last(trained):
    """The checkpoint that it ended with."""
    return trained[0] / "checkpoint_last.pt"


@pytest.fixture(scope="session")
def learned(data, made_once):
    """Checkpoints of a TeaForN run after 42, 84 and 126 updates; the last writes some German."""
    options = [*TEAFORN, "--max-update", "126", "--save-interval-updates", "42"]
    folder, _ = made_once(
        "learned", lambda folder: train(data, folder, *options, "--disable-validation")
    )
    return [next(folder.glob(f"checkpoint_*_{updates}.pt")) for updates in (42, 84, 126)]


@pytest.fixture
def edited(tmp_path):
    """edited(checkpoint, change): a copy after change(state)."""

    def edit(checkpoint, change):
        state = torch.load(checkpoint, weights_only=True)
        change(state)
        out = tmp_path / f"edited{len(list(tmp_path.iterdir()))}.pt"
        torch.save(state, out)
        return out

    return edit


@pytest.fixture(scope="session")
def task():
    dictionary = Dictionary()
    for word in ["a", "b", "c", "d", "e", "f", "g", "h", "i"]:
        dictionary.add_symbol(word)
    task = TranslationTask(TranslationConfig(), dictionary, dictionary)
    task.dictionary = task.output_dictionary = dictionary  # as in language modelling
    return task


@pytest.fixture
def build(task):
    """build(arch, option=value, ...): a small model in float64 with random parameters."""

    def build_model(arch="teaforn_transformer", **options):
        args = Namespace(arch=arch, **{**SMALL, **options})
        model = build_fairseq_model(args, task).double()
        for parameter in model.parameters():  # biases and norms too: none keeps its trivial start
            torch.nn.init.normal_(parameter, std=0.5)
        return model

    return build_model


@pytest.fixture
def batch(task):
    """batch(lengths, ...): a fairseq batch of random sentences with these target lengths."""

    def make_batch(target_lengths=(5, 3, 1, 4), source_lengths=None, left_pad_target=False):
        source_lengths = source_lengths or [length + 1 for length in target_lengths]
        dictionary = task.target_dictionary

        def sentence(length):  # ends in eos, as everywhere in fairseq
            words = torch.randint(dictionary.nspecial, len(dictionary), (length - 1,))
            return torch.cat([words, torch.tensor([dictionary.eos()])])

        samples = [
            {"id": number, "source": sentence(source), "target": sentence(target)}
            for number, (source, target) in enumerate(
                zip(source_lengths, target_lengths, strict=True)
            )
        ]
        return collate(samples, dictionary.pad(), dictionary.eos(), left_pad_target=left_pad_target)

    return make_batch


@pytest.fixture
def teaforn(task):
    """teaforn(n, option=value, ...): our criterion."""

    def build_criterion(n=2, **options):
        cfg = TeaForNCrossEntropyCriterionConfig(teaforn_n=n, **options)
        return TeaForNCrossEntropyCriterion(task, cfg)

    return build_criterion


@pytest.fixture
def stock_criterion(task):
    """stock_criterion(eps): fairseq's label_smoothed_cross_entropy."""

    def build_criterion(label_smoothing=0.0, **options):
        return LabelSmoothedCrossEntropyCriterion(
            task, sentence_avg=False, label_smoothing=label_smoothing, **options
        )

    return build_criterion
