"""Texts that hold a literal ``<pad>``, binarised."""

from commands import run

PAIR = ("w1 w2 w3", "w3 <pad> w2 w1")
MORE = [("w2 w1", "<pad> w1 w2"), ("w3", "w3 <pad>"), ("w1 w3 w2", "w2 <pad> <pad> w3 w1")]
LANGUAGE_MODEL = ["--task", "language_modeling", "--tokens-per-sample", "6"]


def write_data(folder, pairs):
    """Binarised pairs for translation in bin, their targets for a language model in lm."""
    for language, side in (("src", 0), ("tgt", 1)):
        lines = "".join(pair[side] + "\n" for pair in pairs)
        (folder / f"train.{language}").write_text(lines, encoding="utf-8")
    text = folder / "train"
    both = ["--source-lang", "src", "--target-lang", "tgt", "--joined-dictionary"]
    run("fairseq-preprocess", *both, *sets(text), "--destdir", folder / "bin")
    one = ["--only-source", "--srcdict", folder / "bin/dict.tgt.txt"]
    run("fairseq-preprocess", *one, *sets(f"{text}.tgt"), "--destdir", folder / "lm")
    return folder


def sets(path):
    return ["--trainpref", path, "--validpref", path]
