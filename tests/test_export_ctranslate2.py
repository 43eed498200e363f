"""teaforn-export --format ctranslate2: CTranslate2 against stock fairseq."""

import os
import re
import shutil
import sysconfig
import venv
from pathlib import Path

import pytest
from commands import CHECKOUT, export, generate, run

from teaforn_fairseq.export.command import main

ctranslate2 = pytest.importorskip("ctranslate2", reason="needs the extra export")
AS_CTRANSLATE2 = ("--format", "ctranslate2")
FAIRSEQ_MAX_LEN = 200  # fairseq-generate's default --max-len-b; CTranslate2's own is 256


@pytest.fixture(scope="session")
def converted(last, made_once):
    folder, _ = made_once("converted", lambda x: export(last, x / "model", *AS_CTRANSLATE2))
    return folder / "model"


def tokens(lines, kind):
    """The tokens of fairseq-generate's lines of a kind, by sentence number."""
    found = {}
    for line in lines:
        head, *_, text = line.split("\t")
        if head.startswith(f"{kind}-"):
            found[int(head[2:])] = text.split()
    return found


@pytest.mark.parametrize("ends", ["by itself", "at the length limit"])
def test_greedy_hypotheses_are_those_of_stock_fairseq(data, last, learned, tmp_path, ends):
    # The short run never says eos; the mean of the longer one's checkpoints does.
    checkpoints = learned[1:] if ends == "by itself" else [last]
    export(*checkpoints, tmp_path / "stock.pt")
    export(*checkpoints, tmp_path / "model", *AS_CTRANSLATE2)
    lines = generate(data, tmp_path / "stock.pt", "--beam", "1")
    sources, expected = tokens(lines, "S"), tokens(lines, "H")
    translator = ctranslate2.Translator(str(tmp_path / "model"), device="cpu")
    results = translator.translate_batch(
        list(sources.values()), beam_size=1, max_decoding_length=FAIRSEQ_MAX_LEN
    )
    actual = {number: result.hypotheses[0] for number, result in zip(sources, results, strict=True)}
    assert len(actual) == 13
    assert actual == expected
    lengths = [len(words) for words in expected.values()]
    assert (max(lengths) == FAIRSEQ_MAX_LEN) == (ends == "at the length limit")
    assert sorted(os.listdir(tmp_path)) == ["model", "stock.pt"]


def test_dictionaries_come_from_the_folder_named(data, last, edited, tmp_path):
    moved = edited(last, lambda state: state["cfg"]["task"].update(data="gone:elsewhere"))
    out = tmp_path / "model"
    rule = "error: --data-dir: must be the folder that fairseq-preprocess wrote, with the"
    printed = export(moved, out, *AS_CTRANSLATE2, fails=True)
    assert f"{rule} dictionaries dict.LANG.txt and dict.LANG.txt; received gone, which" in printed
    assert not out.exists()
    export(moved, out, *AS_CTRANSLATE2, "--data-dir", data)
    assert (out / "model.bin").is_file()


def test_dictionaries_alone_do_when_the_checkpoint_knows_its_languages(
    data, last, edited, tmp_path
):
    languages = {"source_lang": "en", "target_lang": "de"}
    knows = edited(last, lambda state: state["cfg"]["task"].update(languages))
    folder = tmp_path / "dictionaries"
    folder.mkdir()
    shutil.copy(data / "dict.en.txt", folder)
    printed = export(
        *(knows, tmp_path / "model", *AS_CTRANSLATE2, "--data-dir", folder), fails=True
    )
    assert f"dict.en.txt and dict.de.txt; received {folder}, which does not hold" in printed
    shutil.copy(data / "dict.de.txt", folder)
    export(knows, tmp_path / "model", *AS_CTRANSLATE2, "--data-dir", folder)


def test_dictionaries_of_another_model_are_refused(data, last, tmp_path):
    folder, out = tmp_path / "dictionaries", tmp_path / "model"
    shutil.copytree(data, folder)
    lines = (data / "dict.de.txt").read_text().splitlines(keepends=True)
    for text, problem in (
        (
            "".join(lines[:-1]),
            "must hold the dictionaries that the model was trained with, here"
            f" {len(lines) + 4} symbols in dict.de.txt; received {folder}, whose has"
            f" {len(lines) + 3}.",
        ),
        ("no counts\n", "must hold dictionaries as fairseq-preprocess writes them; received"),
    ):
        (folder / "dict.de.txt").write_text(text)
        with pytest.raises(SystemExit, match=f"^error: --data-dir: {re.escape(problem)}"):
            main([str(x) for x in (last, out, *AS_CTRANSLATE2, "--data-dir", folder)])
        assert os.listdir(tmp_path) == ["dictionaries"]


def test_a_link_to_a_model_is_followed(last, converted, tmp_path):
    target, link = tmp_path / "far/model", tmp_path / "model"
    shutil.copytree(converted, target)
    (target / "model.bin").write_text("old")
    link.symlink_to(target)
    main([str(x) for x in (last, link, *AS_CTRANSLATE2, "--force")])
    assert link.is_symlink()
    assert (target / "model.bin").read_bytes() == (converted / "model.bin").read_bytes()
    assert (os.listdir(target.parent), len(os.listdir(tmp_path))) == (["model"], 2)


def test_what_ctranslate2_cannot_convert_leaves_nothing_behind(last, edited, tmp_path):
    tanh = edited(last, lambda state: setattr(state["cfg"]["model"], "activation_fn", "tanh"))
    printed = export(tanh, tmp_path / "model", *AS_CTRANSLATE2, fails=True)
    assert "error: --format ctranslate2: must be a model that CTranslate2" in printed
    assert "Option --activation-fn tanh is not supported" in printed
    assert "Traceback" not in printed
    assert os.listdir(tmp_path) == [tanh.name]


def test_only_a_converted_model_is_replaced_and_only_with_force(last, converted, tmp_path):
    out = tmp_path / "model"
    out.mkdir()
    (out / "mine").write_text("mine")
    printed = export(last, out, *AS_CTRANSLATE2, fails=True)
    assert f"error: OUT: must not be there yet; received {out}." in printed
    printed = export(last, out, *AS_CTRANSLATE2, "--force", fails=True)
    assert f"received {out}, which has no model.bin in it." in printed
    assert os.listdir(out) == ["mine"]
    (out / "model.bin").write_text("old")
    export(last, out, *AS_CTRANSLATE2, "--force")
    assert sorted(os.listdir(out)) == sorted(os.listdir(converted))
    assert (out / "model.bin").read_bytes() == (converted / "model.bin").read_bytes()
    assert os.listdir(tmp_path) == ["model"]


def test_without_ctranslate2_the_package_to_install_is_named(last, tmp_path):
    venv.create(tmp_path / "venv")
    site = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "venv")}))
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith("ctranslate2"):
            (site / entry.name).symlink_to(entry)
    printed = run(
        *(tmp_path / "venv/bin/python", "-m", "teaforn_fairseq.export", last, tmp_path / "model"),
        *AS_CTRANSLATE2,
        env=CHECKOUT,
        fails=True,
    )
    assert printed.endswith(
        "error: --format ctranslate2: needs the package ctranslate2; received: No module named"
        " 'ctranslate2'. Install it, in a clone: pip install --constraint constraints.txt"
        ' ".[export]".\n'
    )
    assert os.listdir(tmp_path) == ["venv"]
