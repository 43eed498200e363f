"""Whatever the flags, the model and the batch: a clear refusal, or the loss of the formula."""

import pytest
import reference
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from teaforn_fairseq.feedbacks import FEEDBACKS

NOISE = {"sample", "gumbel"}
MODELS = st.fixed_dictionaries(
    {},
    optional={
        "share_all_embeddings": st.booleans(),
        "share_decoder_input_output_embed": st.booleans(),
        "encoder_normalize_before": st.booleans(),
        "decoder_normalize_before": st.booleans(),
        "decoder_layers": st.integers(1, 2),
        "encoder_layers": st.integers(1, 2),
        "decoder_attention_heads": st.sampled_from([1, 2, 4]),
        "decoder_learned_pos": st.booleans(),
        "no_token_positional_embeddings": st.booleans(),
        "layernorm_embedding": st.booleans(),
        "no_scale_embedding": st.booleans(),
        "decoder_output_dim": st.sampled_from([8, 6]),
        "adaptive_softmax_cutoff": st.sampled_from([None, "4,8"]),
        "teaforn_unshared": st.booleans(),
    },
)
FLAGS = st.fixed_dictionaries(
    {"n": st.sampled_from(["1", "2", "3", "4", "full", "0", "2.5"])},
    optional={
        "teaforn_discount": st.sampled_from(["0", "0.5", "1", "1.5"]),
        "teaforn_weights": st.sampled_from(["0,1", "1,0.5", "1,0,2", "0,0", "1"]),
        "teaforn_feedback": st.sampled_from(sorted(FEEDBACKS)),
        "teaforn_topk": st.sampled_from([0, 1, 4, -1, 99]),
        "teaforn_temperature": st.sampled_from([0.5, 2.0, 0.0]),
        "teaforn_hard": st.booleans(),
        "teaforn_detach": st.booleans(),
        "teaforn_labels": st.sampled_from(["aligned", "shifted"]),
        "teaforn_mix": st.sampled_from(["0", "0.5", "1", "2"]),
        "label_smoothing": st.sampled_from([0.0, 0.1, 0.9]),
        "ignore_prefix_size": st.sampled_from([0, 1, 3, 7]),
        "report_accuracy": st.booleans(),
        "sentence_avg": st.booleans(),
    },
)
LENGTHS = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=3)


@settings(
    max_examples=400,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(model_options=MODELS, flags=FLAGS, lengths=LENGTHS, left_pad=st.booleans())
def test_any_configuration_is_refused_in_words_or_follows_the_formula(
    build, batch, teaforn, outcomes, model_options, flags, lengths, left_pad
):
    torch.manual_seed(len(lengths))
    targets, sources = zip(*lengths, strict=True)
    sample = batch(targets, sources, left_pad_target=left_pad)
    n, options = flags["n"], {key: x for key, x in flags.items() if key != "n"}
    try:
        criterion = teaforn(n, **options)
        model = build(**model_options)
        width = model_options.get("decoder_output_dim", 8)
        criterion.plan.feedback.check(8, width, len(model.decoder.dictionary))
        model.check_plan(model.args, criterion.plan)
        loss, log = actual(model, criterion, sample)
    except ValueError as error:
        assert str(error).startswith("--") and "received" in str(error)
        outcomes["refused"] += 1
        return
    outcomes["ran"] += 1
    assert loss.isfinite() and all(torch.as_tensor(value).isfinite() for value in log.values())
    if comparable(criterion, flags, targets):
        outcomes["compared"] += 1
        torch.testing.assert_close(
            loss.double(), expected(model, criterion, sample, flags, left_pad), rtol=1e-5, atol=1e-5
        )
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.fixture(scope="module")
def outcomes():
    """How often each happened: the property is worth little if one hardly ever does."""
    counts = dict.fromkeys(("refused", "ran", "compared"), 0)
    yield counts
    assert min(counts.values()) >= 20, counts


def actual(model, criterion, sample):
    torch.manual_seed(7)
    loss, _, log = criterion(model, sample)
    return loss, log


def comparable(criterion, flags, targets):
    """The reference goes through one sentence after the other."""
    random = flags.get("teaforn_feedback") in NOISE or flags.get("teaforn_mix") == "0.5"
    several = len(targets) > 1
    runs_slot_by_slot = criterion.plan.free_running
    return not (random and (several or runs_slot_by_slot))


def expected(model, criterion, sample, flags, left_pad):
    plan, eps = criterion.plan, flags.get("label_smoothing", 0.0)
    unroll, weights = plan.at(0)[:2]
    torch.manual_seed(7)
    longest = sample["target"].size(1)
    options = {"feedback": feedback(flags), "shifted": unroll.shifted, "mix": unroll.mix}
    # fairseq counts the prefix in columns, padding on the left included.
    options["given"] = lambda target: (
        flags.get("ignore_prefix_size", 0) - (longest - len(target)) * left_pad
    )
    with torch.no_grad():
        if not plan.free_running:
            return torch.as_tensor(
                reference.loss(model, sample, weights, eps, **options), dtype=torch.float64
            )
        # Fact 3 of the method: free running is the last step of N = the longest target.
        last = [0.0] * (longest - 1) + [1.0]
        return reference.loss(model, sample, last, eps, **options).double()


def feedback(flags):
    """The reference's function; None is the hidden state."""
    detach = flags.get("teaforn_detach", False)
    name = flags.get("teaforn_feedback", "hidden")
    return {
        "hidden": None,
        "topk": reference.topk(flags.get("teaforn_topk", 4), detach),
        "gumbel": reference.gumbel(
            flags.get("teaforn_temperature", 1.0), flags.get("teaforn_hard", False), detach
        ),
        "argmax": reference.argmax,
        "sample": reference.sample,
    }[name]
