"""teaforn-export on files that load but are not what was asked for, and on unlike ones."""

import os

import pytest
import torch

from teaforn_fairseq.export.averaging import unlike
from teaforn_fairseq.export.command import main
from teaforn_fairseq.export.twin_checkpoint import read_twin

FC1, TABLE = "decoder.layers.1.fc1.weight", "decoder.embed_tokens.weight"
WRITTEN = "must be a checkpoint written by fairseq-train; received"
PARAMETERS = "must hold the parameters of the transformer_tiny that its options describe; received"
OPTIONS = "its options must be those of a transformer_tiny that fairseq can build; received"
FINITE = "every parameter must be finite; received infinite numbers or NaN in"


def export(*words):
    main([str(word) for word in words])


@pytest.fixture
def refused(tmp_path):
    """refused(checkpoint, ...): what the export says; it leaves nothing behind."""

    def export_in_vain(*checkpoints):
        before = sorted(os.listdir(tmp_path))
        with pytest.raises(SystemExit) as refusal:
            export(*checkpoints, tmp_path / "out")
        assert sorted(os.listdir(tmp_path)) == before
        message = str(refusal.value)
        assert message.startswith("error: ") and "\n" not in message
        return message.removeprefix("error: ")

    return export_in_vain


def entry(name, value):
    return lambda state: state.update({name: value})


def section(name, value):
    return lambda state: state["cfg"].update({name: value})


def option(name, value):
    return lambda state: setattr(state["cfg"]["model"], name, value)


def parameter(name, change):
    return lambda state: state["model"].update({name: change(state["model"].get(name))})


def every_parameter(change):
    def changed(state):
        state["model"] = {name: change(tensor) for name, tensor in state["model"].items()}

    return changed


def without(*parts):
    def changed(state):
        names = [name for name in state["model"] if any(part in name for part in parts)]
        assert names
        for name in names:
            del state["model"][name]

    return changed


BROKEN = {
    "no cfg": (entry("cfg", None), f"{WRITTEN} a file without its entry cfg, as fairseq wrote"),
    "list for cfg": (entry("cfg", [1]), f"{WRITTEN} a file whose entry cfg is of the type list"),
    "list for model": (entry("model", [1]), f"{WRITTEN} a file whose entry model is of the type"),
    "no options": (section("model", None), f"{WRITTEN} a file whose entry cfg.model is of the"),
    "text for options": (section("model", "x"), f"{WRITTEN} a file whose entry cfg.model is of"),
    "list for the task": (section("task", ["x"]), f"{WRITTEN} a file whose entry cfg.task is of"),
    "text for common": (section("common", "x"), f"{WRITTEN} a file whose entry cfg.common is of"),
    "text for criterion": (section("criterion", "x"), f"{WRITTEN} a file whose entry cfg.criter"),
    "list for the name of the task": (
        section("task", {"_name": ["x"]}),
        f"{WRITTEN} a file whose entry cfg.task has the name ['x']",
    ),
    "list for the name of the criterion": (
        section("criterion", {"_name": ["x"]}),
        f"{WRITTEN} a file whose entry cfg.criterion has the name ['x']",
    ),
    "no architecture": (
        lambda state: state["cfg"].update(model={}),
        "must be a checkpoint of a teaforn_* architecture; received architecture None.",
    ),
    "list for architecture": (
        option("_name", ["teaforn_transformer"]),
        "must be a checkpoint of a teaforn_* architecture; received architecture ['teaforn_trans",
    ),
    "empty history": (entry("optimizer_history", []), f"{WRITTEN} a file whose entry optimizer_"),
    "text for history": (entry("optimizer_history", "x"), f"{WRITTEN} a file whose entry optimiz"),
    "history of texts": (entry("optimizer_history", ["x"]), f"{WRITTEN} a file whose entry optim"),
    "no updates": (
        entry("optimizer_history", [{"optimizer_name": "FairseqAdam"}]),
        f"{WRITTEN} a file whose entry optimizer_history has no num_updates.",
    ),
    "no optimizer": (
        entry("optimizer_history", [{"num_updates": 1}]),
        f"{WRITTEN} a file whose entry optimizer_history has no optimizer_name.",
    ),
    "list for extra_state": (entry("extra_state", []), f"{WRITTEN} a file whose entry extra_state"),
    "no parameters": (entry("model", {}), f"{PARAMETERS} no table {TABLE}."),
    "a missing table": (without(TABLE), f"{PARAMETERS} no table {TABLE}."),
    "a missing source table": (
        without("encoder.embed_tokens.weight"),
        f"{PARAMETERS} no parameter encoder.embed_tokens.weight.",
    ),
    "a missing layer": (
        without("decoder.layers.1."),
        f"{PARAMETERS} no parameter decoder.layers.1.self_attn.k_proj.weight.",
    ),
    "a missing encoder": (without("encoder."), f"{PARAMETERS} no parameter encoder."),
    "a further parameter": (
        parameter("more", lambda _: torch.zeros(1)),
        f"{PARAMETERS} a further parameter more.",
    ),
    "a shape": (
        parameter(FC1, lambda _: torch.zeros(3, 2)),
        f"{PARAMETERS} parameter {FC1} of shape (3, 2) instead of (64, 64).",
    ),
    "a table of another width": (parameter(TABLE, lambda x: x[:, 1:]), f"{PARAMETERS} parameter"),
    "a table cut off": (parameter(TABLE, lambda x: x[:-1]), f"{OPTIONS} options that end in"),
    "a number for a table": (parameter(TABLE, lambda _: torch.ones(())), f"{PARAMETERS} no table"),
    "whole numbers": (
        parameter(FC1, lambda x: x.int()),
        f"{PARAMETERS} parameter {FC1} of type torch.int32 instead of torch.float32.",
    ),
    "text for a parameter": (parameter(FC1, lambda _: "x"), f"{WRITTEN} a parameter {FC1} of the"),
    "a number as a name": (parameter(5, lambda _: torch.zeros(1)), f"{WRITTEN} a parameter 5 of"),
    "a sparse parameter": (
        parameter(FC1, lambda x: x.to_sparse()),
        f"{WRITTEN} a parameter {FC1} of the type torch.sparse.FloatTensor.",
    ),
    "NaN": (
        every_parameter(lambda x: x * torch.nan),
        f"{FINITE} encoder.version. Use a checkpoint",
    ),
    "one infinite number": (
        parameter(FC1, lambda x: x.index_fill(0, torch.tensor(0), torch.inf)),
        f"{FINITE} {FC1}. Use a checkpoint from before they came up.",
    ),
    "other options than the parameters'": (
        option("decoder_layers", 3),
        f"{PARAMETERS} no parameter decoder.layers.2.self_attn.k_proj.weight.",
    ),
    "another architecture": (
        option("_name", "teaforn_lightconv"),
        "its options must be those of a lightconv that fairseq can build; received options that"
        " end in AssertionError: encoder_kernel_size_list doesn't match encoder_layers. Use a",
    ),
    "text for a number": (option("encoder_embed_dim", "two"), f"{OPTIONS} options that end in"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_in_a_file_is_said(last, edited, refused, change, message):
    path = edited(last, change)
    assert refused(path).startswith(f"{path}: {message}")
    assert refused(path, path).startswith(f"{path}: {message}")  # all alike: no average either


def test_a_folder_of_ctranslate2_and_a_damaged_file_are_named(last, refused, tmp_path):
    folder, cut = tmp_path / "model", tmp_path / "cut.pt"
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"\6\0\0\0\x10\0TransformerSpec\0")
    cut.write_bytes(last.read_bytes()[:-1000])
    assert refused(folder) == f"{folder}: {WRITTEN} a folder."
    for path in (folder / "model.bin", cut):
        assert refused(path).startswith(f"{path}: {WRITTEN} a file that cannot be read: ")
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe") == f"{tmp_path / 'pipe'}: {WRITTEN} a pipe."


def teaforn(**options):
    return lambda state: state["cfg"]["criterion"].update(options)


UNLIKE = {
    "steps": (teaforn(teaforn_n="1"), "teaforn_n 1 instead of 3"),
    "weights and smoothing": (
        teaforn(label_smoothing=0.2, teaforn_weights="1,2,3"),
        "teaforn_weights 1,2,3 instead of None, label_smoothing 0.2 instead of 0.1",
    ),
    "criterion": (
        section("criterion", {"_name": "label_smoothed_cross_entropy"}),
        "criterion label_smoothed_cross_entropy instead of teaforn_cross_entropy",
    ),
    "data": (lambda state: state["cfg"]["task"].update(data="other"), "data other instead of "),
    "seed and length": (
        lambda state: (
            state["cfg"]["common"].update(seed=2)
            or state["cfg"]["optimization"].update(max_update=99)
        ),
        None,
    ),
}


@pytest.mark.parametrize(("change", "told"), UNLIKE.values(), ids=UNLIKE)
def test_an_average_of_other_trainings_says_what_differs(
    last, edited, tmp_path, capsys, change, told
):
    other = edited(last, change)
    export(last, other, tmp_path / "mean.pt")
    *notes, written = capsys.readouterr().out.splitlines()
    assert written == f"{tmp_path / 'mean.pt'}: transformer_tiny, 2 checkpoints"
    assert len(notes) == (told is not None)
    for note in notes:
        head = f"note: {other} was trained otherwise than {last}: "
        found = note.removeprefix(head).split(", ")
        assert note.startswith(head) and len(found) == len(told.split(", "))
        assert all(any(part.startswith(x) for part in found) for x in told.split(", "))


def languages(source, target):
    return lambda state: state["cfg"]["task"].update(source_lang=source, target_lang=target)


def unshared(state):
    state["model"] |= {"unshared_decoder.layers.0.fc1.weight": state["model"][FC1].clone()}


def test_shared_and_unshared_layers_make_no_average(last, edited, refused):
    extra = edited(last, unshared)
    shared, own = "layers that all steps share", "layers of the first step alone"
    same = "must be a checkpoint of the same model as"
    assert refused(last, extra) == (
        f"{extra}: {same} {last}; received {own} instead of {shared} (--teaforn-unshared)."
    )
    assert refused(extra, last) == (
        f"{last}: {same} {extra}; received {shared} instead of {own} (--teaforn-unshared)."
    )


def test_one_bad_file_among_good_ones_is_named(last, edited, refused):
    bad = edited(last, every_parameter(lambda x: x * torch.nan))
    for words in ((last, bad), (bad, last)):
        assert refused(*words).startswith(f"{bad}: {FINITE}")
    cut = edited(last, without("decoder.layers.1."))
    assert refused(cut, last).startswith(f"{cut}: {PARAMETERS} no parameter")


def test_languages_that_are_not_the_same_are_refused(last, edited, refused, tmp_path):
    german, french = edited(last, languages("en", "de")), edited(last, languages("en", "fr"))
    inferred = edited(last, languages(None, None))
    assert refused(german, french).endswith("; received option target_lang fr instead of de.")
    export(german, inferred, tmp_path / "mean.pt")
    assert unlike(read_twin(german), read_twin(inferred)) == []
