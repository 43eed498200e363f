"""Made-up corpora in fairseq's binary format, and what the batches of a corpus hold."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import teaforn_fairseq  # noqa: F401  # isort: skip  # silences what fairseq says at import
import numpy
import torch
from fairseq.data import indexed_dataset
from fairseq.data.data_utils import infer_language_pair
from fairseq.tasks.translation import TranslationConfig, TranslationTask

from bench.counts import Tokens
from bench.models import make_task

LANGUAGES = ("src", "tgt")


@dataclass(frozen=True)
class Lengths:
    """How long sentences are, in tokens with the end of the sentence.

    Source lengths are drawn from a gamma distribution; a target is ``start + slope * source``
    long, with normal noise.
    """

    mean: float
    deviation: float
    start: float
    slope: float
    noise: float

    def draw(self, pairs: int, random: numpy.random.Generator) -> tuple[Any, Any]:
        """Source and target lengths (pairs,), at least 2."""
        variance = self.deviation**2
        source = random.gamma(self.mean**2 / variance, variance / self.mean, pairs)
        target = self.start + self.slope * source + random.normal(0, self.noise, pairs)
        source, target = (numpy.maximum(x.round(), 2).astype(int) for x in (source, target))
        return source, target


@dataclass(frozen=True)
class Corpus:
    """A binarised training set and its batches, on average.

    Attributes:
        folder: as fairseq-preprocess writes it.
        vocabulary: symbols of the target's dictionary, fairseq's own included.
        joined: whether both sides have one dictionary.
        sentences: in a batch.
        real: tokens of a batch without padding.
        padded: with padding.
    """

    folder: Path
    vocabulary: int
    joined: bool
    sentences: float
    real: Tokens
    padded: Tokens


def write(folder: Path, lengths: Lengths, pairs: int, vocabulary: int, seed: int) -> None:
    """Sentences of random words: dictionaries and the training set."""
    dictionary = make_task(vocabulary).target_dictionary
    random = numpy.random.default_rng(seed)
    for language, sizes in zip(LANGUAGES, lengths.draw(pairs, random), strict=True):
        dictionary.save(str(folder / f"dict.{language}.txt"))
        prefix = str(folder / f"train.{'-'.join(LANGUAGES)}.{language}")
        builder = indexed_dataset.make_builder(f"{prefix}.bin", "mmap", vocab_size=vocabulary)
        words = random.integers(dictionary.nspecial, vocabulary, sizes.sum())
        words[sizes.cumsum() - 1] = dictionary.eos()
        for sentence in torch.from_numpy(words).split(sizes.tolist()):
            builder.add_item(sentence)
        builder.finalize(f"{prefix}.idx")


def require(folder: Path) -> None:
    """Stop unless fairseq-preprocess could have written the folder for a translation.

    Raises:
        ValueError: something is not there.
    """
    languages = infer_language_pair(str(folder)) if folder.is_dir() else (None, None)
    if None in languages or not all((folder / f"dict.{x}.txt").is_file() for x in languages):
        raise ValueError(
            "--data: must be a folder that fairseq-preprocess wrote, with dictionaries and a"
            f" training set of two languages; received {folder}."
        )


def read(folder: Path, max_tokens: int) -> Corpus:
    """Batch the training set as fairseq-train does.

    Raises:
        ValueError: a batch has no room for a sentence.
    """
    task = TranslationTask.setup_task(TranslationConfig(data=str(folder), dataset_impl=None))
    task.load_dataset("train")
    dataset = task.dataset("train")
    longest = max(dataset.src_sizes.max(), dataset.tgt_sizes.max())
    if longest > max_tokens:
        raise ValueError(
            f"--tokens: must hold the longest sentence, which has {longest} tokens; received"
            f" {max_tokens}."
        )
    # The multiple is fairseq-train's default.
    batches = task.get_batch_iterator(
        dataset, max_tokens=max_tokens, required_batch_size_multiple=8
    ).frozen_batches
    sides = dataset.src_sizes, dataset.tgt_sizes
    sizes = [[(x[b].sum(), x[b].max() * len(b)) for x in sides] for b in batches]
    real, padded = (Tokens(*side) for side in numpy.mean(sizes, 0).T.tolist())
    source, target = task.source_dictionary, task.target_dictionary
    sentences = len(dataset) / len(batches)
    return Corpus(folder, len(target), source == target, sentences, real, padded)
