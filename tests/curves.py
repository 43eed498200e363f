"""Losses of short trainings under a fixed seed, kept as text: a refactoring must not change them.

python tests/curves.py            run the trainings and compare with tests/curves/*.txt
python tests/curves.py --write    record them anew, for a change that is meant to be seen
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

import torch
from commands import Training, run

FOLDER = Path(__file__).with_name("curves")
UPDATES = 36
TWIN = ["--arch", "teaforn_transformer_tiny", "--share-all-embeddings"]
LANGUAGE_MODEL = [
    *("--task", "language_modeling", "--arch", "teaforn_transformer_lm_gpt2_tiny"),
    *("--share-decoder-input-output-embed", "--tokens-per-sample", "32"),
]
SETTINGS = {
    "n1": [*TWIN, "--teaforn-n", "1"],
    "n2": [*TWIN, "--teaforn-n", "2"],
    "n3": [*TWIN, "--teaforn-n", "3", "--report-accuracy"],
    "shifted": [*TWIN, "--teaforn-n", "3", "--teaforn-labels", "shifted"],
    "topk": [*TWIN, "--teaforn-n", "2", "--teaforn-feedback", "topk", "--teaforn-mix", "0.7"],
    "recompute": [*TWIN, "--teaforn-n", "3", "--teaforn-recompute"],
    "unshared": [*TWIN, "--teaforn-n", "2", "--teaforn-unshared", "--ignore-prefix-size", "1"],
    "language_model": [*LANGUAGE_MODEL, "--teaforn-n", "2"],
}
COMMON = [
    *("--criterion", "teaforn_cross_entropy", "--label-smoothing", "0.1", "--dropout", "0.1"),
    *("--max-update", UPDATES, "--disable-validation", "--no-save", "--seed", "7"),
]


def write_data(folder: Path) -> Path:
    """Binarised text of 40 words, every target the source backwards: the folder for fairseq."""
    draw = random.Random(1)
    words = [f"w{number}" for number in range(40)]
    lines = [draw.choices(words, k=draw.randint(2, 12)) for _ in range(400)]
    for language, step in (("src", 1), ("tgt", -1)):
        text = "".join(" ".join(line[::step]) + "\n" for line in lines)
        (folder / f"train.{language}").write_text(text, encoding="utf-8")
    text = folder / "train"
    options = ["--joined-dictionary", "--trainpref", text, "--validpref", text]
    languages = ["--source-lang", "src", "--target-lang", "tgt"]
    run("fairseq-preprocess", *languages, *options, "--destdir", folder / "bin")
    run("fairseq-preprocess", "--only-source", "--trainpref", f"{text}.src", "--srcdict",
        folder / "bin/dict.src.txt", "--destdir", folder / "lm")  # fmt: skip
    return folder


def curve(name: str, data: Path) -> list[str]:
    """The log of one setting: a line an update of every ``loss`` and ``accuracy`` it shows."""
    binarised = data / ("lm" if name == "language_model" else "bin")
    options = [*SETTINGS[name], *COMMON]
    training = Training(binarised, data / name, *options, log=data / f"{name}.log", task=[])
    records = training.finish()["train_inner"]
    keys = [key for key in records[0] if "loss" in key or "accuracy" in key]
    return [" ".join(f"{key}={record[key]}" for key in keys) for record in records]


def machine() -> str:
    """What the last digits depend on."""
    kind, threads = torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    return f"# torch {torch.__version__} {kind} threads {threads}"


def main() -> None:
    """Compare, or record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="record the curves anew")
    write = parser.parse_args().write
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        data, same = write_data(Path(folder)), True
        for name in SETTINGS:
            text = "\n".join([machine(), *curve(name, data)]) + "\n"
            path = FOLDER / f"{name}.txt"
            if write:
                path.write_text(text, encoding="utf-8")
            same &= path.read_text(encoding="utf-8") == text
            print(name, "identical" if path.read_text(encoding="utf-8") == text else "DIFFERS")
    sys.exit(not same)


if __name__ == "__main__":
    main()
