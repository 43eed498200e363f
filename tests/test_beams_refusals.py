"""What teaforn-beams refuses before it translates anything."""

import shutil

import pytest
import torch
from commands import ROOT, beams
from recipe_commands import lines

from teaforn_fairseq.beams.checks import check
from teaforn_fairseq.beams.command import parse_args, plan_of

SUBWORDS = ("--remove-bpe", "sentencepiece", "--cpu")


@pytest.fixture
def refused(data, numerals, last, tmp_path):
    """refused(words, further): the message; nothing may have been made."""

    def check_words(*words, further=(), reference=None, folder=None, of=data):
        given = ("--reference", reference or numerals / "test.de", *SUBWORDS)
        given += ("--out", folder or tmp_path / "out")
        words = words or ("--system", "A", last)
        with pytest.raises(ValueError) as caught:
            check(plan_of(parse_args(map(str, (of, *words, *given))), further))
        assert not (tmp_path / "out").exists()
        return str(caught.value)

    return check_words


def test_labels_must_be_names_of_as_many_seeds(refused, last, learned):
    assert refused("--system", "A", last, "--system", "B", *learned[:2]) == (
        "--system: must all have as many seeds; received A 1, B 2."
    )
    assert refused("--system", "A", last, "--system", "A", last) == (
        "--system: must name each label once, with all its checkpoints; received A 2 times."
    )
    assert refused("--system", "A") == "--system A: must have a checkpoint; received none."
    assert "must begin with a letter or a digit" in refused("--system", "../A", last)
    assert refused("--system", "A", last, last) == (
        f"--system A: must have another checkpoint for each seed; received {last} {last}, of which"
        " two are the same."
    )


def test_checkpoints_must_be_some_and_of_these_dictionaries(
    refused, data, last, edited, tmp_path, monkeypatch
):
    nothing, foreign = tmp_path / "none.pt", tmp_path / "x.pt"
    foreign.write_text("no checkpoint")
    assert refused("--system", "A", nothing).endswith("received nothing there. Correct the path.")
    assert f"{foreign}: must be a checkpoint written by fairseq-train" in refused(
        "--system", "A", foreign
    )

    def widen(state):
        for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"):
            state["model"][name] = torch.cat([state["model"][name]] * 2)

    size = len(lines(data / "dict.en.txt")) + 4
    wide = edited(last, widen)
    assert refused("--system", "A", wide) == (
        f"{wide}: must be trained with the dictionaries of {data}; received a checkpoint for"
        f" {2 * size} symbols where dict.en.txt makes {size}."
    )
    shutil.copytree(data, tmp_path / "other")
    symbols = lines(data / "dict.de.txt")
    (tmp_path / "other/dict.de.txt").write_text("".join(f"{x}\n" for x in reversed(symbols)))
    assert refused(of=tmp_path / "other") == (
        f"{last}: must be trained with the dictionaries of {tmp_path}/other; received a checkpoint"
        f" trained with {data}/dict.de.txt, which has other symbols."
    )
    # A relative folder is one of the training's project, not of this one.
    monkeypatch.chdir(tmp_path)
    relative = edited(last, lambda state: state["cfg"]["task"].update(data="other"))
    (tmp_path / "file").touch()
    message = refused("--system", "A", relative, folder=tmp_path / "file/out")
    assert message.startswith("--out: ")  # which is looked at last


def test_texts_data_and_place_must_fit(refused, data, numerals, tmp_path):
    assert refused(reference=numerals / "train.de") == (
        f"--reference: must have a line for each of the 13 sentences of test in {data}; received"
        f" 300 lines in {numerals}/train.de."
    )
    assert f"in it; received {tmp_path}/x: " in refused(of=tmp_path / "x")
    (tmp_path / "file").touch()
    assert refused(folder=tmp_path / "file/out") == (
        f"--out: must be a folder that can be written to; received {tmp_path}/file/out (Not a"
        " directory)."
    )


def test_texts_must_be_there_and_in_utf_8(refused, last, tmp_path):
    nothing, latin = tmp_path / "none", tmp_path / "latin"
    latin.write_bytes(b"\xe4\n")
    assert refused(reference=nothing) == (
        f"--reference: must be a UTF-8 text file; received {nothing} (No such file or directory)."
        " Name another one."
    )
    message = refused("--system", "A", last, "--source", latin)
    rule = f"--source: must be a UTF-8 text file; received {latin} ('utf-8' codec can't decode"
    assert message.startswith(rule)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--skip-invalid-size-inputs-valid-test"], "must stay False behind --"),
        (["--beam", "3"], "--beam: must stay 1 behind --"),
        (["--nbest", "2"], "--nbest: must stay 1 behind --"),
        (["--quiet"], "--quiet: must stay False behind --"),
        (["--num-shards", "2"], "--num-shards: must stay 1 behind --"),
    ],
    ids=str,
)
def test_options_that_would_leave_sentences_out_are_refused(refused, words, message, last):
    of = ("--system", "A", last, "--beams", "1")
    assert message in refused(*of, further=words)


@pytest.mark.parametrize("beam", ["0", "-1", "x"])
def test_a_beam_below_one_is_refused(beam, capsys):
    with pytest.raises(SystemExit):
        parse_args(["x", "--system", "A", "x", "--reference", "x", "--out", "x", "--beams", beam])
    assert f"at least 1; received {beam}." in capsys.readouterr().err


def test_without_what_it_needs_it_says_so_before_work(data, numerals, last, tmp_path):
    code = "import importlib.util as u; find = u.find_spec\n"
    code += "u.find_spec = lambda name, *_: None if name == 'scipy' else find(name, *_)\n"
    (tmp_path / "sitecustomize.py").write_text(code)
    words = ("--system", "A", last, "--reference", numerals / "test.de", "--out", tmp_path / "out")
    env = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    out = beams(data, *words, env=env, fails=True, process=True)
    assert out.endswith(
        "error: teaforn-beams: needs scipy, which is not installed. Install the extra beams, in a"
        ' clone: pip install --constraint constraints.txt ".[beams]".\n'
    )
    assert not (tmp_path / "out").exists()
