"""``teaforn-exposure``: figures of a few tokens and texts that a reader can count."""

import pytest
import torch
from fairseq import checkpoint_utils

from teaforn_fairseq.decoders.vocabulary import Vocabulary
from teaforn_fairseq.exposure.ngrams import NGrams
from teaforn_fairseq.exposure.words import Words


def test_a_predicted_token_of_no_length_has_no_share_in_the_ratio_of_lengths(learned):
    (model,), _, task = checkpoint_utils.load_model_ensemble_and_task([str(learned[0])])
    decoder, pad, word = model.decoder, task.target_dictionary.pad(), 9
    torch.nn.init.zeros_(decoder.embed_tokens.weight[pad].detach())
    h = torch.eye(decoder.embed_tokens.embedding_dim)[:2]
    projection = torch.zeros_like(decoder.output_projection.weight)
    projection[[pad, word]] = 9 * h
    vocabulary = Vocabulary(decoder, (projection, None))
    words = Words(len(projection), h.device)
    assert words.add(h, torch.tensor([word, word]), vocabulary).tolist() == [pad, word]
    figures = dict(words.figures())
    length = float(vocabulary.embed(torch.tensor(word)).norm())
    assert figures["norm_ratio", ""] == pytest.approx(1 / length)
    only = Words(len(projection), h.device)
    only.add(h[:1], torch.tensor([word]), vocabulary)
    assert ("norm_ratio", "") not in dict(only.figures())


def test_ngrams_of_texts_that_a_reader_can_count():
    ngrams = NGrams()
    for text in ("a b a b", "a b c", ""):
        ngrams.add(text.split())
    found = dict(ngrams.figures())
    assert found["repeated", "1"] == pytest.approx(100 * 2 / 7)
    assert found["repeated", "2"] == pytest.approx(100 * 1 / 5)
    assert found["distinct", "2"] == pytest.approx(100 * 3 / 5)  # ab ba bc
    assert found["repeated", "3"] == 0 and ("distinct", "4") in found
    assert found["words", ""] == pytest.approx(7 / 3)
