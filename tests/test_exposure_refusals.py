"""``teaforn-exposure`` refuses what cannot be measured: one message, before any work."""

import re
import sys

import pytest
import torch

from teaforn_fairseq.exposure.command import main


def refused(capsys, data, out, *words):
    """The one message; nothing was measured, and nothing is written."""
    with pytest.raises(SystemExit) as stopped:
        main([str(x) for x in (data, "--cpu", "--out", out, *words)])
    printed = capsys.readouterr()
    assert "tokens, " not in printed.out
    assert not out.is_dir() or not list(out.iterdir())
    return str(stopped.value)


LABELS = {
    "unequal seeds": (
        "a {0} {1} + b {2}",
        "--system: must all have as many seeds; received a 2, b 1.",
    ),
    "label twice": (
        "a {0} + a {1}",
        "--system: must name each label once, with all its checkpoints; received a 2 times.",
    ),
    "no label": ("{0}", "--system: a label must begin with a letter or a digit and .* received "),
    "no checkpoint": ("a", "--system a: must have a checkpoint; received none."),
    "nothing there": (
        "a mistyped.pt",
        "--system a: mistyped.pt: must be a checkpoint's file; received nothing there. Correct",
    ),
    "one seed twice": (
        "a {0} {0}",
        "--system a: must have another checkpoint for each seed; received .* two are the same.",
    ),
}


@pytest.mark.parametrize(("systems", "message"), LABELS.values(), ids=LABELS)
def test_labels_that_cannot_be_compared(data, learned, tmp_path, capsys, systems, message):
    words = [
        word
        for system in systems.format(*learned).split(" + ")
        for word in ("--system", *system.split())
    ]
    assert re.match(f"error: {message}", refused(capsys, data, tmp_path / "out", *words))


def test_a_path_with_a_colon_is_to_be_renamed(data, learned, tmp_path, capsys):
    path = tmp_path / "a:b.pt"
    path.symlink_to(learned[0])
    told = refused(capsys, data, tmp_path / "out", "--system", "a", path)
    rule = "--system a: must be a path without a colon; received"
    assert told == f"error: {rule} {path}, which fairseq reads as several. Rename it."


def cut(state):
    """Another dictionary's: a row less."""
    for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"):
        state["model"][name] = state["model"][name][:-1].clone()


def rename(state):
    state["cfg"]["model"].arch = state["cfg"]["model"]._name = "lstm"


def narrow(state):
    state["cfg"]["model"].decoder_output_dim = 32


EDITED = {
    "another dictionary": (
        cut,
        "must be a checkpoint for the dictionaries of the data; received [0-9]+ rows in"
        " encoder.embed_tokens.weight and [0-9]+ symbols in the source dictionary of ",
    ),
    "no twin": (
        rename,
        "must be a checkpoint of an architecture that can be unrolled; received lstm. There are"
        " teaforn_. twins for the architectures of: bart, ",
    ),
    "another width": (
        narrow,
        "--decoder-output-dim: hidden feedback reads the decoder's output .* received ",
    ),
}


@pytest.mark.parametrize(("change", "message"), EDITED.values(), ids=EDITED)
def test_checkpoints_that_cannot_be_measured(
    data, learned, edited, tmp_path, capsys, change, message
):
    other = edited(learned[1], change)
    told = refused(capsys, data, tmp_path / "out", "--system", "a", learned[0], other)
    assert re.match(f"error: {re.escape(str(other))}: {message}", told), told


@pytest.mark.parametrize("content", ["text", "tensor"])
def test_files_that_are_no_checkpoints(data, learned, tmp_path, capsys, content):
    path = tmp_path / "other.pt"
    path.write_text("no checkpoint") if content == "text" else torch.save(torch.ones(2), path)
    told = refused(capsys, data, tmp_path / "out", "--system", "a", learned[0], path)
    rule = f"error: {re.escape(str(path))}: must be a checkpoint written by fairseq-train; received"
    assert re.match(rule, told), told


OPTIONS = {
    "steps": (["--steps", "0"], "--steps: must be at least 1; received 0."),
    "batch": (["--max-tokens", "0"], "--max-tokens: must be at least 1; received 0."),
    "subwords": (["--remove-bpe", "other"], "--remove-bpe: .* received other."),
    "subset": (
        ["--gen-subset", "other"],
        ".*: its task must find dictionaries and the subset 'other' in the data folder .*; it ended"
        " in FileNotFoundError: .* for this model, or another --gen-subset.$",
    ),
    "prompt": (
        ["--teaforn-prompt-end", "=>"],
        "--teaforn-prompt-end: is for language models, .* received '=>'",
    ),
}


@pytest.mark.parametrize(("options", "message"), OPTIONS.values(), ids=OPTIONS)
def test_options_that_cannot_be(data, learned, tmp_path, capsys, options, message):
    told = refused(capsys, data, tmp_path / "out", "--system", "a", learned[0], *options)
    assert re.match(f"error: {message}", told), told


def test_another_folder_than_data(learned, tmp_path, capsys):
    told = refused(capsys, tmp_path, tmp_path / "out", "--system", "a", learned[0])
    assert re.match(f"error: {learned[0]}: its task must find dictionaries and the subset", told)


def test_a_place_that_cannot_be_written_to(data, learned, tmp_path, capsys):
    (tmp_path / "file").touch()
    out = tmp_path / "file/out"
    told = refused(capsys, data, out, "--system", "a", learned[0])
    rule = "--out: must be a folder that can be written to; received"
    assert told == f"error: {rule} {out} (Not a directory)."


def test_something_in_the_way_of_a_result(data, learned, tmp_path, capsys):
    (tmp_path / "exposure.png").mkdir()
    with pytest.raises(SystemExit, match="exposure.png: must be a regular file, .* a folder"):
        main([str(data), "--system", "a", str(learned[0]), "--out", str(tmp_path), "--cpu"])
    assert [x.name for x in tmp_path.iterdir()] == ["exposure.png"]


def test_without_matplotlib(data, learned, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    told = refused(capsys, data, tmp_path / "out", "--system", "a", learned[0])
    rule = "error: teaforn-exposure: needs matplotlib, which is not installed. Install the extra"
    assert told.startswith(rule) and '".[exposure]"' in told
