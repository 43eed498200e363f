"""Loss and every gradient against the slow reference, over the options of the stock decoder."""

import pytest
import reference
import torch
from comparing import LOSSES, assert_same, loss_and_gradients

pytestmark = pytest.mark.usefixtures("wide_softmax")
DECODERS = {
    "post-norm": {},
    "pre-norm": {"encoder_normalize_before": True, "decoder_normalize_before": True},
    "learned positions": {"encoder_learned_pos": True, "decoder_learned_pos": True},
    "no positions": {"no_token_positional_embeddings": True},
    "shared embeddings": {"share_all_embeddings": True},
    "tied output": {"share_decoder_input_output_embed": True},
    "layernorm_embedding": {"layernorm_embedding": True, "no_scale_embedding": True},
}
WEIGHTS = {1: "1", 2: "0.7,1.3", 3: "1,0.5,0.25", 4: "0.2,0,1,0.5"}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("eps", [0.0, 0.1])
@pytest.mark.parametrize("n", WEIGHTS)
@pytest.mark.parametrize("options", DECODERS.values(), ids=DECODERS)
def test_loss_and_gradients_follow_the_formula(build, batch, teaforn, options, n, eps, loss):
    model, sample = build(**options), batch(target_lengths=(5, 3, 1, 4))
    criterion = teaforn(n, teaforn_weights=WEIGHTS[n], label_smoothing=eps, teaforn_loss_impl=loss)
    weights = [float(weight) for weight in WEIGHTS[n].split(",")]
    actual = loss_and_gradients(model, lambda: criterion(model, sample)[0])
    expected = loss_and_gradients(model, lambda: reference.loss(model, sample, weights, eps))
    assert_same(actual, expected)


@pytest.mark.parametrize("left_pad", [False, True])
@pytest.mark.parametrize("lengths", [(1,), (1, 1, 1), (6,), (2, 7, 1)])
def test_any_mix_of_lengths_follows_the_formula(build, batch, teaforn, lengths, left_pad):
    model, sample = build(share_all_embeddings=True), batch(lengths, left_pad_target=left_pad)
    actual = loss_and_gradients(model, lambda: teaforn(3)(model, sample)[0])
    expected = loss_and_gradients(model, lambda: reference.loss(model, sample, (1, 0.5, 0.25)))
    assert_same(actual, expected)


def test_cross_self_attention_follows_the_formula(build, batch, teaforn):
    model = build(cross_self_attention=True, no_cross_attention=True)
    sample = batch((4, 4))
    actual = loss_and_gradients(model, lambda: teaforn(2)(model, sample)[0])
    expected = loss_and_gradients(model, lambda: reference.loss(model, sample, (1, 0.5)))
    assert_same(actual, expected)


def test_unreduced_losses_sum_to_the_reduced_one(build, batch, teaforn):
    model, sample, criterion = build(), batch(), teaforn(3, label_smoothing=0.1)
    per_token = criterion(model, sample, reduce=False)[0]
    assert per_token.shape == (sample["target"].numel(), 1)
    assert (per_token.flatten()[sample["target"].flatten() == 1] == 0).all()
    torch.testing.assert_close(per_token.sum(), criterion(model, sample)[0])
