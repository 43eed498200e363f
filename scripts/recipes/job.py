"""A recipe on its way: its settings, its folders and what it does to the world."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from recipes import common
from recipes.dataset import DataSet, Recipe
from recipes.errors import Refused
from recipes.settings import Values
from recipes.shell import Shell


@dataclass(frozen=True)
class Job:
    """Attributes:
    name: of the data set.
    entry: the data set.
    s: its settings.
    shell: what runs or prints.
    options: further options of fairseq-train.
    """

    name: str
    entry: DataSet
    s: Values
    shell: Shell
    options: tuple[str, ...] = ()

    @cached_property
    def recipe(self) -> Recipe:
        """The data set with the values of its settings."""
        return self.entry.recipe(self.s)

    @property
    def out(self) -> Path:
        """Where everything is written."""
        return Path(self.s["OUT"])

    @property
    def run(self) -> Path:
        """The folder of this training."""
        size = f"{self.s['SIZE']}-" if "SIZE" in self.s.settings else ""
        return self.out / (self.recipe.run or f"{size}n{self.s['N']}-seed{self.s['SEED']}")

    @property
    def checkpoint(self) -> Path:
        """What generates."""
        return self.run / ("average.pt" if self.s.whole("AVERAGE") else "checkpoint_best.pt")

    def beam(self, beam: str) -> Path:
        """Hypotheses of a beam."""
        return self.run / f"beam{beam}.txt"

    def script(self, name: str) -> Path:
        """A script beside the recipes."""
        return common.ROOT / "scripts" / name

    def there(self, path: Path) -> bool:
        """Whether it is there and nothing has to be done. A dry run prints what makes it."""
        return not self.shell.dry and path.exists()

    def need(self, path: Path, stage: str) -> None:
        """What an earlier stage has left.

        Raises:
            Refused: it is not there.
        """
        if not self.shell.dry and not path.exists():
            raise Refused(f"{path} is not there. Run the stage {stage} first.")

    def train_options(self) -> list[str]:
        """fairseq-train's options that make the model what it is."""
        s, recipe = self.s, self.recipe
        words = ["--arch", f"teaforn_{recipe.arch}", *recipe.training]
        words += ["--criterion", "teaforn_cross_entropy", "--teaforn-n", s["N"]]
        if s["WEIGHTS"]:
            words += ["--teaforn-weights", s["WEIGHTS"]]
        elif s["N"] != "full":
            words += ["--teaforn-discount", s["DISCOUNT"]]
        if s["FEEDBACK"]:
            words += ["--teaforn-feedback", s["FEEDBACK"]]
        words += ["--no-epoch-checkpoints", "--best-checkpoint-metric", "nll_loss"]
        if s.whole("AVERAGE"):
            words += ["--save-interval-updates", s["SAVE_INTERVAL"]]
            words += ["--keep-interval-updates", s["AVERAGE"]]
        return [*words, "--seed", s["SEED"], *self.options]

    def machine_options(self) -> list[str]:
        """Those that may change between one start and the next: the effective batch stays."""
        s = self.s
        words = ["--max-tokens", s["MAX_TOKENS"], "--update-freq", s["UPDATE_FREQ"]]
        words += ["--distributed-world-size", str(common.processes_of(s))]
        # fairseq's thread that reads ahead can abort a training at its very end (exit status 134);
        # the workers read ahead as well.
        return [*words, "--data-buffer-size", "0", *self.precision()]

    def precision(self) -> list[str]:
        """Options of the machine that training and generation share."""
        cpu = ["--cpu"] if self.s["GPUS"] == "0" else []
        return cpu + (["--fp16"] if self.s.on("FP16") else [])
