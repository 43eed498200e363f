"""A language model's prompt: what each row begins with, up to a symbol (``--teaforn-prompt-end``).

B batch, T length.
"""

from dataclasses import dataclass
from typing import Any

from fairseq.data import Dictionary
from fairseq.models import FairseqLanguageModel
from torch import Tensor

from teaforn_fairseq.packed.packing import target_slots
from teaforn_fairseq.unroll.prefix import Prefix, up_to
from teaforn_fairseq.unroll.prompt import PromptSizes

FLAG = "--teaforn-prompt-end"
NUM_LABELS = "num_labels"
SIZES = "prompt_sizes"
LINES = "eos"  # other blocks begin inside a line, or hold several, and so several prompts


@dataclass(frozen=True)
class Prompt:
    """Prompts that end with one symbol.

    Attributes:
        end: the symbol, a word of the dictionary.
        dictionary: that of the labels.
    """

    end: str
    dictionary: Dictionary

    @property
    def prefix(self) -> Prefix:
        """What it gives in each row."""
        return Prefix(end=self.dictionary.index(self.end))

    def check(self, task: Any, ignore_prefix_size: int) -> None:
        """Refuse what cannot be before any work.

        Raises:
            ValueError: the symbol is no word of the dictionary, a prefix of K tokens is to be
                ignored as well, or the task's rows are no lines.
        """
        # The special symbols come first, and an unknown word is one of them; what lies beyond
        # --output-dictionary-size is in no label.
        words = range(self.dictionary.nspecial, len(self.dictionary))
        if self.dictionary.index(self.end) not in words:
            raise ValueError(
                f"{FLAG}: must be a word of the dictionary and none of its special symbols;"
                f" received {self.end!r}. Choose the word with which the prompts of the text end,"
                " as fairseq-preprocess saw it."
            )
        if ignore_prefix_size > 0:
            raise ValueError(
                f"{FLAG}: gives each row a prefix of its own, --ignore-prefix-size one of the same"
                f" length to all; received {self.end!r} with --ignore-prefix-size"
                f" {ignore_prefix_size}. Leave one of them out."
            )
        broken = str(getattr(getattr(task, "args", None), "sample_break_mode", LINES)).lower()
        if broken != LINES:
            raise ValueError(
                f"{FLAG}: needs rows that begin with their prompt; received {self.end!r} with"
                f" --sample-break-mode {broken}. Set --sample-break-mode {LINES}, which makes a row"
                " of each line."
            )

    def note_labels(self, sample: dict[str, Any]) -> None:
        """Note the sizes of the prompts, and the number of labels behind them, on the CPU.

        Args:
            sample: a batch of fairseq's; gets entries ``num_labels`` and ``prompt_sizes`` unless
                it is on a GPU already.

        Raises:
            ValueError: a row has no prompt, or nothing behind it.
        """
        tokens, target = sample["net_input"]["src_tokens"], sample["target"]
        if target.is_cpu:
            sample[NUM_LABELS] = self._num_labels(target, sample["id"])
            slots = target_slots(tokens, target, self.dictionary.pad())
            sample[SIZES] = PromptSizes.of(slots, up_to(target, self.dictionary.index(self.end)))

    def counted(self, sample: dict[str, Any]) -> dict[str, Any]:
        """The batch with the labels behind its prompts as ``ntokens``.

        A GPU is waited for where :meth:`note_labels` has not seen the batch.

        Raises:
            ValueError: a row has no prompt, or nothing behind it.
        """
        num_labels = sample.get(NUM_LABELS)
        if num_labels is None:
            num_labels = self._num_labels(sample["target"], sample["id"])
        return sample | {"ntokens": num_labels}

    def _num_labels(self, target: Tensor, ids: Tensor) -> int:
        """How many labels of (B, T) carry a loss, where each row has one at least."""
        pad = self.dictionary.pad()
        counted = self.prefix.counting(target, pad).ne(pad)
        missing = counted.any(1).logical_not()
        if missing.any():
            row = int(missing.int().argmax())
            text = self.dictionary.string(target[row][target[row].ne(pad)])
            raise ValueError(
                f"{FLAG}: every row must hold the symbol, and go on behind it; received"
                f" {self.end!r} and row {int(ids[row])} without: {text[:80]!r}. Put it behind the"
                " prompt of each line, or take the line out of the text; --shorten-method cuts"
                " lines that are longer than --tokens-per-sample."
            )
        return int(counted.sum())


def check_model(end: str | None, model: type, arch: str) -> None:
    """Refuse prompts of a model that is no language model.

    Args:
        end: the symbol; None for no prompts.
        model: the class.
        arch: its name for the message.

    Raises:
        ValueError: it has an encoder.
    """
    if end is not None and not issubclass(model, FairseqLanguageModel):
        raise ValueError(
            f"{FLAG}: is for language models, whose prompt is part of the target; received"
            f" {end!r} with --arch {arch}. Leave it out; --ignore-prefix-size gives the first"
            " tokens of every target."
        )


def prompt_of(options: dict[str, Any], task: Any, ignore_prefix_size: int) -> Prompt | None:
    """The prompt that the options in force ask for, checked, or None.

    Raises:
        ValueError: see :meth:`Prompt.check`.
    """
    if "prompt_end" not in options:
        return None
    prompt = Prompt(options["prompt_end"], task.target_dictionary)
    prompt.check(task, ignore_prefix_size)
    return prompt
