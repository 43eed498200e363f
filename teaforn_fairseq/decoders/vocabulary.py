"""E and W: from words to what a decoder reads and from its features to words (method.md).

B batch, T length, C features, V vocabulary.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from fairseq.models import FairseqIncrementalDecoder
from torch import Tensor, nn

from teaforn_fairseq.packed import shared_table
from teaforn_fairseq.packed.shared_table import Projection


@dataclass(frozen=True)
class Vocabulary:
    """The embedding and the output projection of one forward pass.

    Attributes:
        decoder: a stock decoder, without adaptive softmax or adaptive input.
        projection: W and b as this pass uses them, see :func:`look_up`.
    """

    decoder: FairseqIncrementalDecoder
    projection: Projection

    @property
    def embedding_rows(self) -> Tensor:
        """(V, C_table) the rows of the embedding table, before scaling and input projection."""
        rows, words = self.decoder.embed_tokens.weight, self.decoder.output_projection.weight
        # A language model may predict the most frequent words only (--output-dictionary-size).
        return rows if len(rows) == len(words) else rows[: len(words)]

    def embed(self, tokens: Tensor) -> Tensor:
        """E: embeddings (..., C) of token ids (...), scaled, without positions."""
        return self.dress(self.decoder.embed_tokens(tokens))

    def dress(self, rows: Tensor) -> Tensor:
        """The linear rest of E: scale, quant-noise and input projection.

        Args:
            rows: (..., C_table) rows of the embedding table or mixtures of them.

        Returns:
            (..., C) what the decoder reads in these slots.
        """
        x = through(self.decoder, "quant_noise", self.decoder.embed_scale * rows)
        return through(self.decoder, "project_in_dim", x)

    def logits(self, features: Tensor) -> Tensor:
        """W: logits (..., V) of features (..., C_out)."""
        return F.linear(features, *self.projection)


def look_up(decoder: FairseqIncrementalDecoder, *tokens: Tensor) -> tuple[Vocabulary, list[Tensor]]:
    """Rows of the embedding table, and the vocabulary for every further use in this pass.

    Where the table is the output projection too, the vocabulary's W is one whose gradient takes
    that of all these rows in (:mod:`teaforn_fairseq.packed.shared_table`).

    Args:
        decoder: a stock decoder.
        tokens: token ids (B, T) of any streams.

    Returns:
        The vocabulary, and rows (B, T, C_table) of each stream.
    """
    table, projection = decoder.embed_tokens, decoder.output_projection
    if type(table) is not nn.Embedding or table.weight is not projection.weight:
        vocabulary = Vocabulary(decoder, (projection.weight, projection.bias))
        return vocabulary, [table(ids) for ids in tokens]
    flat = torch.cat([ids.flatten() for ids in tokens])
    weight, rows = shared_table.look_up(table.weight, flat, table.padding_idx)
    parts = rows.split([ids.numel() for ids in tokens])
    shaped = [part.view(*ids.shape, -1) for part, ids in zip(parts, tokens, strict=True)]
    return Vocabulary(decoder, (weight, projection.bias)), shaped


def through(decoder: nn.Module, name: str, x: Tensor) -> Tensor:
    """x through the decoder's module of this name, or unchanged where it has none."""
    module = getattr(decoder, name, None)
    return x if module is None else module(x)
