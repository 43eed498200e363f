"""Every feedback x labels x mix against the slow reference, and what the feedbacks refuse."""

import pytest
import reference
import torch
from comparing import assert_same, loss_and_gradients, replayed

from teaforn_fairseq.decoders.vocabulary import Vocabulary
from teaforn_fairseq.feedbacks import FEEDBACKS, build_feedback
from teaforn_fairseq.loss.steps_loss import step_labels
from teaforn_fairseq.packed.packing import Packing

FEEDBACK_CASES = {
    "hidden": ({"teaforn_feedback": "hidden"}, None),
    "top 3": ({"teaforn_feedback": "topk", "teaforn_topk": 3}, reference.topk(3)),
    "all words": ({"teaforn_feedback": "topk", "teaforn_topk": 0}, reference.topk(0)),
    "gumbel": (
        {"teaforn_feedback": "gumbel", "teaforn_temperature": 0.7},
        reference.gumbel(0.7),
    ),
    "hard gumbel": (
        {"teaforn_feedback": "gumbel", "teaforn_hard": True},
        reference.gumbel(1.0, hard=True),
    ),
    "hidden, detached": ({"teaforn_detach": True}, reference.hidden_detached),
    "top 3, detached": (
        {"teaforn_feedback": "topk", "teaforn_topk": 3, "teaforn_detach": True},
        reference.topk(3, detach=True),
    ),
    "gumbel, detached": (
        {"teaforn_feedback": "gumbel", "teaforn_detach": True},
        reference.gumbel(1.0, detach=True),
    ),
    "argmax": ({"teaforn_feedback": "argmax"}, reference.argmax),
    "sample": ({"teaforn_feedback": "sample"}, reference.sample),
}


@pytest.mark.usefixtures("wide_softmax")
@pytest.mark.parametrize("mix", [1.0, 0.6, 0.0])
@pytest.mark.parametrize("labels", ["aligned", "shifted"])
@pytest.mark.parametrize(("options", "feedback"), FEEDBACK_CASES.values(), ids=FEEDBACK_CASES)
def test_loss_and_gradients_follow_the_formula(
    build, batch, teaforn, options, feedback, labels, mix
):
    # One sentence: reference and code then draw the same random numbers in the same order.
    model, sample = build(share_decoder_input_output_embed=True), batch((5,))
    criterion = teaforn(3, teaforn_labels=labels, teaforn_mix=mix, **options)
    unroll = {"feedback": feedback, "shifted": labels == "shifted", "mix": mix}
    actual = loss_and_gradients(model, lambda: replayed(lambda: criterion(model, sample)[0]))
    expected = loss_and_gradients(
        model, lambda: replayed(lambda: reference.loss(model, sample, (1, 0.5, 0.25), **unroll))
    )
    assert_same(actual, expected)


def test_topk_in_bfloat16_differs_by_rounding_alone(build, batch, teaforn):
    model, sample = build(), batch((5, 3))
    criterion = teaforn(2, teaforn_feedback="topk")

    def result(model):
        loss, gradients = loss_and_gradients(model, lambda: criterion(model, sample)[0])
        return loss.float(), torch.cat([x.float().flatten() for x in gradients.values()])

    half, rounded = result(model.bfloat16()), result(model.float())
    for actual, expected in zip(half, rounded, strict=True):
        assert (actual - expected).norm() < 0.03 * expected.norm()


@pytest.mark.usefixtures("wide_softmax")
@pytest.mark.parametrize("left_pad", [False, True])
@pytest.mark.parametrize("options", [{}, {"decoder_learned_pos": True, "max_target_positions": 5}])
def test_shifted_labels_of_a_padded_batch_follow_the_formula(
    build, batch, teaforn, left_pad, options
):
    model, sample = build(**options), batch((5, 3, 1, 4), left_pad_target=left_pad)
    criterion = teaforn(3, teaforn_labels="shifted")
    actual = loss_and_gradients(model, lambda: criterion(model, sample)[0])
    expected = loss_and_gradients(
        model, lambda: reference.loss(model, sample, (1, 0.5, 0.25), shifted=True)
    )
    assert_same(actual, expected)


def test_labels_of_every_step_boundaries_and_padding_included():
    def labels_of(target, num_steps, shifted):
        packing = Packing.of(target.ne(1))
        labels = step_labels(target, packing, num_steps, shifted, padding_idx=1)
        return [x.tolist() for x in labels]

    target = torch.tensor([[5, 6, 7, 2], [8, 2, 1, 1], [2, 1, 1, 1]])  # 2 is eos, 1 padding
    assert labels_of(target, 3, shifted=False) == [[5, 6, 7, 2, 8, 2, 2]] * 3
    assert labels_of(target, 5, shifted=True) == [
        [5, 6, 7, 2, 8, 2, 2],
        [6, 7, 2, 1, 2, 1, 1],
        [7, 2, 1, 1, 1, 1, 1],
        [2, 1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1, 1, 1],
    ]
    left = torch.tensor([[1, 1, 8, 2]])
    assert labels_of(left, 3, shifted=True) == [[8, 2], [2, 1], [1, 1]]


def test_shifted_steps_report_means_over_their_own_labels(build, batch, teaforn):
    log = teaforn(3, teaforn_labels="shifted", report_accuracy=True)(build(), batch((4, 2, 1)))[2]
    assert [int(log[f"ntokens_{step}"]) for step in (1, 2, 3)] == [7, 4, 2]
    assert [int(log[f"total_{step}"]) for step in (1, 2, 3)] == [7, 4, 2]


def vocabulary_of(model):
    projection = model.decoder.output_projection
    return Vocabulary(model.decoder, (projection.weight, projection.bias))


@pytest.fixture
def states(build):
    """Features (B, T, C_out) and the vocabulary of a decoder."""
    model = build(decoder_output_dim=6)
    return torch.randn(2, 3, 6, dtype=torch.double), vocabulary_of(model)


@pytest.mark.parametrize("name", [name for name, x in FEEDBACKS.items() if x.differentiable])
def test_detach_cuts_every_gradient_from_a_step_to_the_next(name, build):
    model = build()
    features = torch.randn(2, 3, 8, dtype=torch.double, requires_grad=True)
    for detach in (False, True):
        fed_back = build_feedback(name, {"detach": detach})(features, vocabulary_of(model))
        kept = fed_back.requires_grad and torch.autograd.grad(
            fed_back.square().sum(), features, allow_unused=True
        ) != (None,)
        assert kept != detach


def test_k_of_the_whole_vocabulary_is_the_softmax_expectation(states):
    features, vocabulary = states
    whole = build_feedback("topk", {"topk": len(vocabulary.embedding_rows)})(features, vocabulary)
    torch.testing.assert_close(whole, build_feedback("topk", {"topk": 0})(features, vocabulary))


def test_k_of_1_is_the_argmax_embedding(states):
    features, vocabulary = states
    one = build_feedback("topk", {"topk": 1})(features, vocabulary)
    torch.testing.assert_close(one, build_feedback("argmax", {})(features, vocabulary))


def test_topk_divides_probabilities_not_logits(states):
    features, vocabulary = states
    p = vocabulary.logits(features).softmax(-1)
    top, words = p.topk(2)
    expected = (top[..., None] * vocabulary.embed(words)).sum(-2) / top.sum(-1, keepdim=True)
    torch.testing.assert_close(build_feedback("topk", {"topk": 2})(features, vocabulary), expected)


@pytest.mark.parametrize(
    ("name", "options"), [("topk", {"topk": 3}), ("topk", {"topk": 0}), ("gumbel", {})]
)
def test_no_logits_are_kept_for_the_backward_pass(build, name, options):
    model = build()
    vocabulary, parameters = vocabulary_of(model), {p.data_ptr() for p in model.parameters()}
    features = torch.randn(2, 5, 8, dtype=torch.double, requires_grad=True)
    sizes = []

    def note(tensor):
        if tensor.data_ptr() not in parameters:
            sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        build_feedback(name, options)(features, vocabulary)
    assert max(sizes) < 2 * 5 * len(vocabulary.embedding_rows)


def test_same_seed_same_draws_and_another_seed_others(build, batch, teaforn):
    model, sample = build(), batch((9, 7))
    for options in (
        {"teaforn_feedback": "gumbel"},
        {"teaforn_feedback": "sample"},
        {"teaforn_mix": 0.5},
    ):
        criterion = teaforn(2, **options)
        losses = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            losses.append(criterion(model, sample)[0].item())
        assert losses[0] == losses[1] != losses[2]


def test_a_model_the_feedback_cannot_work_with_is_refused():
    with pytest.raises(ValueError, match="^--decoder-output-dim: .* received .* 4 with .* 8"):
        FEEDBACKS["hidden"]().check(8, 4, 100)
    with pytest.raises(ValueError, match="^--teaforn-topk: .* of 3 words; received 4"):
        FEEDBACKS["topk"]().check(8, 4, 3)
