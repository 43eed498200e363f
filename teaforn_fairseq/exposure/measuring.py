"""One pass over the data with one model: everything that ``teaforn-exposure`` says of it.

B batch, T target length, n real target tokens, N unroll steps.
"""

import math
from argparse import Namespace
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from fairseq import utils
from fairseq.models import FairseqLanguageModel
from torch import Tensor

from teaforn_fairseq.criterions.prompt import Prompt, check_model
from teaforn_fairseq.exposure.ngrams import NGrams
from teaforn_fairseq.exposure.road import Batch, Road
from teaforn_fairseq.exposure.words import Words
from teaforn_fairseq.loss.steps_loss import LossSettings, StepsLoss
from teaforn_fairseq.models.unrollable import NUM_SLOTS
from teaforn_fairseq.packed.packing import Packing, target_slots
from teaforn_fairseq.unroll.prefix import Prefix
from teaforn_fairseq.unroll.steps import UnrollSettings

# What a figure is called, and of which step, position or order of n-grams: ("nll", "2").
Figures = dict[tuple[str, str], float]
STEP_KEYS = ("nll_loss", "n_correct", "total", "n_ahead", "total_ahead")
SEED = 1


@dataclass(frozen=True)
class Request:
    """How to measure.

    Attributes:
        subset: the part of the data.
        settings: the unroll.
        max_tokens: of a batch, padding included.
        cpu: whether to leave a GPU alone.
        dtype: of the parameters; None as they were saved.
        post_process: how fairseq makes words of subwords; None leaves them.
        prompt_end: with which a language model's prompts end; None for no prompts.
    """

    subset: str
    settings: UnrollSettings
    max_tokens: int
    cpu: bool = False
    dtype: torch.dtype | None = None
    post_process: str | None = None
    prompt_end: str | None = None

    @property
    def device(self) -> torch.device:
        """Where to measure."""
        return torch.device("cuda" if torch.cuda.is_available() and not self.cpu else "cpu")


class Measurement:
    """Sums over the data with one model, on its device.

    Args:
        model: a twin; it is moved to the device, and to evaluation.
        task: its task, with the subset loaded.
        request: how to measure.

    Raises:
        ValueError: the prompts that the request asks for cannot be.
    """

    def __init__(self, model: Any, task: Any, request: Request) -> None:
        self.model = model.to(device=request.device, dtype=request.dtype).eval()
        self.task, self.request = task, request
        self.prompt = prompt_of(request, type(model), task)
        prefix = self.prompt.prefix if self.prompt else Prefix()
        self.settings = replace(request.settings, prefix=prefix)
        self.pad = task.target_dictionary.pad()
        # A language model without prompts has nothing to go on from.
        decodes = self.prompt or not isinstance(model, FairseqLanguageModel)
        greedy = Namespace(beam=1)  # the rest as in fairseq-generate
        self.generator = task.build_generator([model], greedy) if decodes else None
        shape = len(STEP_KEYS), self.settings.num_steps
        self.steps = torch.zeros(shape, dtype=torch.double, device=request.device)
        self.words = Words(len(model.decoder.output_projection.weight), request.device)
        self.road = Road(request.device)
        self.hypotheses, self.references = NGrams(), NGrams()

    def run(self) -> None:
        """One pass over the subset.

        Raises:
            ValueError: a row has no prompt, or is longer than the model takes.
        """
        torch.manual_seed(SEED)  # for a feedback that draws
        with torch.no_grad():
            for sample in self._batches():
                self._add(sample)

    def figures(self) -> Figures:
        """What was measured; of what there was nothing of there is no figure."""
        parts = (self._of_steps(), self.road.figures(), self.words.figures())
        return dict(chain(*parts, self.hypotheses.figures()))

    def _batches(self) -> Iterator[dict[str, Any]]:
        task, model = self.task, self.model
        limits = utils.resolve_max_positions(task.max_positions(), model.max_positions())
        batches = task.get_batch_iterator(
            task.dataset(self.request.subset),
            max_tokens=self.request.max_tokens,
            max_positions=limits,
        )
        for sample in batches.next_epoch_itr(shuffle=False):
            model.note_slots(sample)
            sample = self.prompt.counted(sample) if self.prompt else sample
            yield utils.move_to_cuda(sample) if self.request.device.type == "cuda" else sample

    def _add(self, sample: dict[str, Any]) -> None:
        unrolled = self.model.unrolled(
            **sample["net_input"],
            target=sample["target"],
            num_tokens=sample.get(NUM_SLOTS),
            settings=self.settings,
        )
        features, labels, packing, vocabulary = unrolled
        features = list(features)
        settings = LossSettings((1.0,) * len(features), report_accuracy=True, fused=True)
        sums = StepsLoss(vocabulary.projection, self.pad, settings)(features, labels, packing)
        self.steps += torch.stack([sums[key].double() for key in STEP_KEYS])
        gold = packing.pack(labels.target)
        real = gold.ne(self.pad)
        best = torch.full_like(gold, self.pad)
        best[real] = self.words.add(features[0][real], gold[real], vocabulary)
        rows = Batch(*map(packing.rows, (gold, real, best)), behind_own=None)
        self._read(self.references, rows.labels, rows.counts)
        if self.generator:
            rows = self._decode(sample, rows, labels.target)
        self.road.add(rows)

    def _decode(self, sample: dict[str, Any], rows: Batch, labels: Tensor) -> Batch:
        """The rows with the greedy hypotheses, whose words are counted."""
        given = self._given(sample, labels) if self.prompt else None
        found = self.task.inference_step(self.generator, [self.model], sample, prefix_tokens=given)
        own = torch.full_like(rows.labels, self.pad, device="cpu")
        starts = [0] * len(own) if given is None else given.ne(self.pad).sum(1).tolist()
        # A prompt that goes through the decoder once is not in the rows.
        behind = rows.counts[:, 0].tolist()
        for row, start, is_behind, hypotheses in zip(own, starts, behind, found, strict=True):
            tokens = hypotheses[0]["tokens"].cpu()
            here = tokens[start:] if is_behind else tokens
            row[: len(here)] = here[: len(row)]
            self.hypotheses.add(self._words(tokens[start:]))
        return replace(rows, behind_own=own.to(rows.labels.device))

    def _given(self, sample: dict[str, Any], labels: Tensor) -> Tensor:
        """(B, T - 1) the prompts alone: what is read before the first of labels (B, T) counts."""
        read = sample["net_input"]["src_tokens"]
        slots = Packing.of(target_slots(read, sample["target"], self.pad))
        read, counts = (slots.rows(slots.pack(x)) for x in (read, labels.ne(self.pad)))
        behind = counts.cummax(1).values
        return read[:, 1:].masked_fill(behind[:, :-1], self.pad)

    def _read(self, ngrams: NGrams, rows: Tensor, counts: Tensor) -> None:
        for row, counted in zip(rows.cpu(), counts.cpu(), strict=True):
            ngrams.add(self._words(row[counted]))

    def _words(self, tokens: Tensor) -> list[str]:
        text = self.task.target_dictionary.string(tokens, self.request.post_process)
        return text.split()

    def _of_steps(self) -> Iterable[tuple[tuple[str, str], float]]:
        sums = dict(zip(STEP_KEYS, self.steps.tolist(), strict=True))
        yield ("sentences", ""), self.references.texts
        yield ("tokens", ""), int(sums["total"][0])
        for place, total in enumerate(sums["total"]):
            if total:
                at = str(place + 1)
                yield ("accuracy", at), 100 * sums["n_correct"][place] / total
                yield ("ahead", at), 100 * sums["n_ahead"][place] / sums["total_ahead"][place]
                yield ("nll", at), sums["nll_loss"][place] / total / math.log(2)


def prompt_of(request: Request, model: type, task: Any) -> Prompt | None:
    """The prompts of a language model's rows, checked, or None.

    Raises:
        ValueError: the model has an encoder, the symbol is no word of the dictionary, or the rows
            are no lines.
    """
    if request.prompt_end is None:
        return None
    check_model(request.prompt_end, model, model.__name__)
    prompt = Prompt(request.prompt_end, task.target_dictionary)
    prompt.check(task, ignore_prefix_size=0)
    return prompt
