"""fairseq's own task, batches, models and criterions at any size, without data."""

import random
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

import teaforn_fairseq  # noqa: F401  # isort: skip  # silences what fairseq says at import
import torch
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.data import Dictionary
from fairseq.data.language_pair_dataset import collate
from fairseq.models import BaseFairseqModel, build_model
from fairseq.tasks.translation import TranslationConfig, TranslationTask
from fairseq.utils import apply_to_sample

from bench.counts import Tokens
from bench.shapes import Setup, Shape
from bench.systems import System
from teaforn_fairseq.criterions.options import TeaForNCrossEntropyCriterionConfig
from teaforn_fairseq.criterions.teaforn_cross_entropy import TeaForNCrossEntropyCriterion

ARCH = "transformer"
TWIN = "teaforn_transformer"
LABEL_SMOOTHING = 0.1
POSITIONS = 1024  # fairseq's default
FP16_LOSS_SCALE = 128  # where fairseq's --fp16 begins; --bf16 scales nothing
Step = Callable[[int], None]


@dataclass(frozen=True)
class Batch:
    """A fairseq batch and its size.

    Attributes:
        sample: what ``LanguagePairDataset`` collates.
        sentences: their number.
        real: tokens without padding.
        padded: tokens with padding.
    """

    sample: dict[str, Any]
    sentences: int
    real: Tokens
    padded: Tokens


def make_task(vocabulary: int) -> TranslationTask:
    """Translation with one dictionary of this size on both sides."""
    dictionary = Dictionary()
    for number in range(vocabulary - len(dictionary)):
        dictionary.add_symbol(f"w{number}")
    return TranslationTask(TranslationConfig(), dictionary, dictionary)


def make_batch(task: TranslationTask, setup: Setup) -> Batch:
    """Random sentences, source and target drawn alike, padded as in fairseq's training."""
    dictionary, draw = task.target_dictionary, random.Random(setup.seed)

    def sentence() -> torch.Tensor:
        length = draw.randint(ceil(0.7 * setup.longest), setup.longest)
        last_word = len(dictionary) - 1
        words = [draw.randint(dictionary.nspecial, last_word) for _ in range(length - 1)]
        return torch.tensor([*words, dictionary.eos()])

    pairs: list[dict[str, Any]] = []
    while sum(len(pair["target"]) for pair in pairs) < setup.tokens:
        pairs.append({"id": len(pairs), "source": sentence(), "target": sentence()})
    sample = collate(
        pairs, dictionary.pad(), dictionary.eos(), left_pad_source=True, left_pad_target=False
    )
    real = Tokens(*(sum(len(pair[side]) for pair in pairs) for side in ("source", "target")))
    padded = Tokens(sample["net_input"]["src_tokens"].numel(), sample["target"].numel())
    return Batch(sample, len(pairs), real, padded)


def model_options(setup: Setup) -> dict[str, Any]:
    """A Transformer's options, named as in fairseq."""
    shape: Shape = setup.shape
    sides = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in {
            "embed_dim": shape.width,
            "ffn_embed_dim": shape.ffn,
            "attention_heads": shape.heads,
        }.items()
    }
    positions = max(POSITIONS, setup.longest)
    return {
        **sides,
        "encoder_layers": shape.encoder_layers,
        "decoder_layers": shape.decoder_layers,
        "dropout": setup.dropout,
        "share_all_embeddings": True,
        "max_source_positions": positions,
        "max_target_positions": positions,
    }


def make_model(task: TranslationTask, setup: Setup, arch: str) -> BaseFairseqModel:
    """A new model in training mode; equal setups give equal parameters."""
    torch.manual_seed(setup.seed)
    model = build_model(Namespace(arch=arch, **model_options(setup)), task).train()
    return model.to(device=setup.device, dtype=getattr(torch, setup.dtype))


def stock_step(task: TranslationTask, model: BaseFairseqModel, batch: Batch) -> Step:
    """``step(update)`` of fairseq's ``label_smoothed_cross_entropy``."""
    criterion = LabelSmoothedCrossEntropyCriterion(task, False, LABEL_SMOOTHING)
    return _step(criterion, model, batch)


def twin_step(task: TranslationTask, model: BaseFairseqModel, batch: Batch, system: System) -> Step:
    """``step(update)`` of our criterion, on a twin."""
    cfg = TeaForNCrossEntropyCriterionConfig(label_smoothing=LABEL_SMOOTHING, **system.options)
    criterion = TeaForNCrossEntropyCriterion(task, cfg)
    return _step(criterion, model, batch)


def clear(model: torch.nn.Module) -> None:
    """Set the gradients to None, as fairseq's optimizers do."""
    for parameter in model.parameters():
        parameter.grad = None


def _step(criterion: torch.nn.Module, model: BaseFairseqModel, batch: Batch) -> Step:
    first = next(model.parameters())
    scale = FP16_LOSS_SCALE if first.dtype is torch.float16 else 1
    if hasattr(model, "note_slots"):  # as in fairseq-train, before the batch leaves the CPU
        model.note_slots(batch.sample)
    sample = apply_to_sample(lambda x: x.to(first.device), batch.sample)

    def step(update: int) -> None:
        model.set_num_updates(update)
        clear(model)
        loss, _, _ = criterion(model, sample)
        (loss if scale == 1 else scale * loss).backward()

    return step
