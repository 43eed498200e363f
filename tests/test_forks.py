"""A command as a fork is the command as a process: what it prints and writes, and how it ends."""

import re
from dataclasses import dataclass, field

import pytest
from commands import CHECKOUT, PLUGIN, TEAFORN, TINY, TRANSLATION, TWIN, run
from forks import Fork


@dataclass(frozen=True)
class Case:
    """A command line in its test's folder; words in braces are filled in."""

    words: str
    options: list = field(default_factory=list)
    fails: bool = False


PLUGGED = ["--user-dir", PLUGIN]
TRAIN = [*PLUGGED, *TWIN, *TINY, *TRANSLATION, *TEAFORN, "--save-dir", "run"]
SMALL = ["--task", "translation", "--max-tokens", "800"]
HYDRA = [
    *(f"common.user_dir={PLUGIN}", "common.cpu=true", "optimization.max_update=1"),
    *("model._name=teaforn_transformer_tiny", "dataset.disable_validation=true"),
]
CASES = {
    "train": Case("fairseq-train {data}", [*TRAIN, "--max-update", "3"]),
    "refused": Case("fairseq-train {data}", [*TRAIN, "--teaforn-n", "0"], fails=True),
    "validate": Case("fairseq-validate {data} --cpu --path {last}", [*PLUGGED, *SMALL]),
    "generate": Case("fairseq-generate {data} --cpu --results-path out --path {last}", PLUGGED),
    "hydra": Case(f"fairseq-hydra-train --config-dir {PLUGIN}/config"
                  " --config-name teaforn_wmt_en_de task.data={data}", HYDRA),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_fork_does_what_a_process_does(data, trained, tmp_path, case):
    names = {"data": data, "last": trained[0] / "checkpoint_last.pt"}
    command = [word.format(**names) for word in case.words.split()] + case.options
    printed, written = [], []
    for process in (True, False):
        folder = tmp_path / str(process)
        folder.mkdir()
        out = run(*command, cwd=folder, env=CHECKOUT, fails=case.fails, process=process)
        printed.append(comparable(out.replace(str(folder), ".")))
        written.append(sorted(path.name for path in folder.rglob("*")))
    assert printed[0] == printed[1] and len(printed[0]) > 0
    assert [no_time(name) for name in written[0]] == [no_time(name) for name in written[1]]


def no_time(text):
    return re.sub(r"\d[\d.:,-]*", "#", text)


def comparable(out):
    """The lines without time and speed, what an import prints, and the frames of a traceback."""
    lines = [re.sub(r"0x[0-9a-f]+", "@", line) for line in out.splitlines()]
    return [
        re.sub(r"^(<?sys>?|<frozen runpy>):#", "", no_time(line))
        for line in lines
        if not re.search("text_to_speech|torch.jit.script|^  (File|  |warnings.warn)", line)
    ]


LOOK = """
import logging, multiprocessing, os, signal, sys, warnings
warnings.simplefilter("ignore")  # what an import says
import fairseq, numpy, torch
print("teaforn_fairseq" in sys.modules, __name__, sys.argv, os.getcwd(), dict(os.environ))
print(*dict.fromkeys(sys.path), sep=os.linesep)
print([signal.getsignal(x) for x in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)])
print(torch.get_num_threads(), multiprocessing.get_start_method(), sys.stdout.line_buffering)
print(logging.root.level, [vars(x).get("level") for x in logging.root.handlers])
"""


def test_a_fork_finds_what_a_process_finds(tmp_path):
    (tmp_path / "look.py").write_text(LOOK)
    command = ["python", "-m", "look", "--option"]
    wanted = run(*command, cwd=tmp_path, env=CHECKOUT, process=True)
    found = Fork(command, tmp_path / "log", cwd=tmp_path, env=CHECKOUT).finish()
    assert found.splitlines() == [x for x in wanted.splitlines() if "tensorboardX" not in x]
    assert found.startswith("False __main__")
