"""Whole fairseq-train processes: their command lines, how fast they went and what they held."""

import json
import math
import os
import subprocess
import sys
import tempfile
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch

import teaforn_fairseq
from bench import cuda
from bench.corpus import Corpus, Lengths
from bench.models import ARCH, LABEL_SMOOTHING, TWIN
from bench.shapes import Shape
from bench.systems import STOCK, System

PLUGIN = Path(teaforn_fairseq.__file__).parent
OPTIMIZER = [
    *("--optimizer", "adam", "--adam-betas", "(0.9, 0.98)", "--lr", "0.0005"),
    *("--lr-scheduler", "inverse_sqrt", "--warmup-updates", "4000"),
]


@dataclass(frozen=True)
class Kind:
    """Sizes of a model with those of a data set.

    Attributes:
        shape: of the model.
        dropout: as in training.
        tokens: ``--max-tokens``.
        pairs: of sentences in the training set.
        lengths: of these.
    """

    shape: Shape
    dropout: float
    tokens: int
    pairs: int
    lengths: Lengths


# Lengths of the first two are those of the real training sets in subwords.
KINDS = {
    "numerals": Kind(
        Shape(2, 2, 128, 256, 4, 256), 0.0, 2000, 22_000, Lengths(9.2, 3.7, 3.6, 0.52, 1.7)
    ),
    "multi30k": Kind(
        Shape(4, 4, 128, 256, 4, 3000), 0.3, 4096, 29_000, Lengths(17.3, 5.7, 0.9, 1.014, 3.2)
    ),
    "base": Kind(Shape(), 0.1, 800, 30_000, Lengths(27.0, 12.0, 1.0, 1.0, 4.0)),
}


@dataclass(frozen=True)
class Setup:
    """What is measured, apart from the systems.

    Attributes:
        shape: of the model.
        dropout: 0 to below 1.
        tokens: ``--max-tokens``.
        seed: of corpus, parameters and order of the batches.
        threads: of each process.
        device: cpu or cuda.
        fp16: ``--fp16``.
        warm_up: updates of each process that do not count.
        updates: those behind them that do.
    """

    shape: Shape
    dropout: float
    tokens: int
    seed: int
    threads: int
    device: str
    fp16: bool
    warm_up: int
    updates: int

    @property
    def dtype(self) -> str:
        """Of the parameters."""
        return "float16" if self.fp16 else "float32"


@dataclass(frozen=True)
class Told:
    """What one process told.

    Attributes:
        seconds: of an update, the mean over those that count.
        peak_bytes: the most memory that the process held, or on a GPU what PyTorch gave out there.
    """

    seconds: float
    peak_bytes: int


def command(setup: Setup, corpus: Corpus, system: System | None) -> list[str]:
    """fairseq-train of a system; None is stock fairseq, without the plugin."""
    shape = setup.shape
    sides = [
        word
        for side in ("encoder", "decoder")
        for name, value in {
            "layers": getattr(shape, f"{side}_layers"),
            "embed-dim": shape.width,
            "ffn-embed-dim": shape.ffn,
            "attention-heads": shape.heads,
        }.items()
        for word in (f"--{side}-{name}", str(value))
    ]
    share = "--share-all-embeddings" if corpus.joined else "--share-decoder-input-output-embed"
    return [
        *(sys.executable, "-m", "fairseq_cli.train", str(corpus.folder)),
        *(_ours(system) if system else _stock()),
        *("--label-smoothing", str(LABEL_SMOOTHING), *sides, share),
        *("--dropout", str(setup.dropout), *OPTIMIZER, "--max-tokens", str(setup.tokens)),
        *("--max-update", str(setup.warm_up + setup.updates), "--seed", str(setup.seed)),
        *("--log-format", "json", "--log-interval", str(math.gcd(setup.warm_up, setup.updates))),
        # What is loaded in the process itself counts whatever the other cores do.
        *("--num-workers", "0", "--no-save", "--disable-validation"),
        *("--distributed-world-size", "1"),
        *(["--cpu"] if setup.device != cuda.CUDA else []),
        *(["--fp16"] if setup.fp16 else []),
    ]


def _stock() -> list[str]:
    return ["--arch", ARCH, "--criterion", "label_smoothed_cross_entropy"]


def _ours(system: System) -> list[str]:
    flags = [
        word
        for name, value in system.options.items()
        if value not in (None, False)
        for word in (f"--{name.replace('_', '-')}", *([] if value is True else [str(value)]))
    ]
    plugin = ["--user-dir", str(PLUGIN), "--arch", TWIN]
    return [*plugin, "--criterion", "teaforn_cross_entropy", *flags]


def train(setup: Setup, corpus: Corpus, system: System | None) -> Told:
    """Run a process to its end.

    Its log lines come through a pipe, and the time of each is taken here as it comes: the log's own
    figures are rounded, ``ups`` to 0.01 a second and ``train_wall`` to a second.

    Raises:
        ValueError: it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        # fairseq-train makes its folder even if it saves nothing, and reads what stands there.
        words = [*command(setup, corpus, system), "--save-dir", folder]
        return _told(words, setup, system.name if system else STOCK)


def _told(words: list[str], setup: Setup, name: str) -> Told:
    environment = {**os.environ, "OMP_NUM_THREADS": str(setup.threads)}
    seen: dict[int, float] = {}
    free_gb: list[float] = []
    end: deque[str] = deque(maxlen=20)
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
    ) as process:
        assert process.stdout
        try:
            for line in process.stdout:
                now = perf_counter()
                if "| INFO |" not in line:
                    end.append(line)
                if "| train_inner | " in line:
                    record = json.loads(line[line.index("{") :])
                    seen[int(record["num_updates"])] = now
                    free_gb.append(float(record.get("gb_free", "inf")))
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        except BaseException:
            process.kill()
            raise
    last = setup.warm_up + setup.updates
    if process.returncode or not {setup.warm_up, last} <= seen.keys():
        raise ValueError(
            f"fairseq-train of {name} ended with {process.returncode}:\n{''.join(end)}"
        )
    seconds = (seen[last] - seen[setup.warm_up]) / setup.updates
    if setup.device == cuda.CUDA:
        whole = torch.cuda.get_device_properties(0).total_memory
        return Told(seconds, whole - int(min(free_gb) * 2**30))
    # Kilobytes, but bytes on macOS.
    return Told(seconds, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
