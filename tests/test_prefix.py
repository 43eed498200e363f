"""A prefix that is given stays given (method.md, "A prefix that is given").

Each row's K is ``--ignore-prefix-size``, or what the symbol of ``--teaforn-prompt-end`` makes it.
"""

import re

import pytest
import reference
import torch
from comparing import LOSSES, assert_same, loss_and_gradients, reduced, replayed
from prompted_lines import EOS, LINES, LM, PAD, A, behind_a, lines

from teaforn_fairseq.packed.packing import Packing
from teaforn_fairseq.unroll.prefix import Prefix
from teaforn_fairseq.unroll.prompt import PromptSizes

pytestmark = pytest.mark.usefixtures("wide_softmax")
WEIGHTS = (1, 0.5, 0.25)
FEEDBACKS = {"hidden": None, "topk": reference.topk(3)}


def three(_):
    return 3


def with_ends(sample):
    """A translation batch, in the middle of whose targets stands "a"."""
    for y, w in zip(sample["target"], sample["net_input"]["prev_output_tokens"], strict=True):
        real = y.ne(PAD).nonzero().flatten()
        middle = real[len(real) // 2 - 1]
        y[middle] = w[middle + 1] = A
    return sample


@pytest.fixture(params=["right", "left", "language model"])
def model_and_batch(request, build, batch):
    """A Transformer with targets padded on either side, or a language model and its lines."""
    if request.param == "language model":
        return build("teaforn_transformer_lm", **LM), lines()
    model = build(share_all_embeddings=True)
    return model, with_ends(batch((5, 2, 6, 3), left_pad_target=request.param == "left"))


def test_what_is_given_by_hand():
    target = torch.tensor([[5, A, 7, EOS], [PAD, 8, A, EOS], [A, A, EOS, PAD]])
    packing = Packing.of(target.ne(PAD))
    prompt, two = Prefix(end=A), Prefix(2)
    assert prompt.labels(target).int().tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0]]
    assert prompt.slots(target, packing).int().tolist() == [*(1, 1, 1, 0), *(1, 1, 1), *(1, 1, 0)]
    rest = [[PAD, PAD, 7, EOS], [PAD, PAD, PAD, EOS], [PAD, A, EOS, PAD]]
    assert prompt.counting(target, PAD).tolist() == rest
    # fairseq counts K in columns and goes on to count these labels.
    assert two.labels(target).int().tolist() == 3 * [[1, 1, 0, 0]]
    assert two.slots(target, packing).int().tolist() == [*(1, 1, 1, 0), *(1, 1, 0), *(1, 1, 1)]
    assert two.counting(target, PAD) is target
    assert Prefix().labels(target) is None
    assert torch.equal(Prefix().slots(target, packing), packing.begins)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("labels", ["aligned", "shifted"])
@pytest.mark.parametrize("feedback", FEEDBACKS)
@pytest.mark.parametrize(
    ("options", "given"),
    [({"teaforn_prompt_end": "a"}, behind_a), ({"ignore_prefix_size": 3}, three)],
    ids=["symbol", "size"],
)
def test_loss_and_gradients_follow_the_formula(
    model_and_batch, teaforn, options, given, feedback, labels, loss
):
    model, sample = model_and_batch
    own = {"teaforn_topk": 3} if feedback == "topk" else {}
    own |= {"teaforn_labels": labels, "teaforn_feedback": feedback, "teaforn_loss_impl": loss}
    criterion = teaforn(3, label_smoothing=0.1, **own, **options)
    if given is three and sample["target"][1, 0] == PAD:
        width = sample["target"].size(1)  # its columns are fairseq's, padding included

        def given(target):
            return 3 - (width - len(target))

    unroll = {"shifted": labels == "shifted", "feedback": FEEDBACKS[feedback], "given": given}
    actual = loss_and_gradients(model, lambda: criterion(model, sample)[0])
    expected = loss_and_gradients(
        model, lambda: reference.loss(model, sample, WEIGHTS, 0.1, **unroll)
    )
    assert_same(actual, expected)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(
    ("options", "given"),
    [({"teaforn_prompt_end": "a"}, behind_a), ({"ignore_prefix_size": 3}, three)],
    ids=["symbol", "size"],
)
def test_a_mix_follows_the_formula(build, teaforn, options, given, shifted):
    model, sample = build("teaforn_transformer_lm", **LM), lines([[5, A, 6, 7, 8, 9, 10, EOS]])
    options = options | {"teaforn_labels": "shifted" if shifted else "aligned"}
    criterion = teaforn(3, teaforn_mix="0.5", **options)
    # A prompt that goes through once is not drawn for.
    draws_behind = 2 if given is behind_a and not shifted else 0
    unroll = {"shifted": shifted, "mix": 0.5, "given": given, "draws_behind": draws_behind}
    actual = loss_and_gradients(model, lambda: replayed(lambda: criterion(model, sample)[0]))
    expected = loss_and_gradients(
        model, lambda: replayed(lambda: reference.loss(model, sample, WEIGHTS, **unroll))
    )
    assert_same(actual, expected)


def test_free_running_gives_the_prompt_and_goes_on_by_itself(model_and_batch, teaforn):
    model, sample = model_and_batch

    def slot_by_slot():
        total = 0.0
        for source, target in reference.sentences(model, sample):
            given = behind_a(target)
            features = reference.free_running(model, source, target, given)
            for h, label in zip(features[given:], target[given:], strict=True):
                logits = model.decoder.output_projection(h)
                total = total + reference.label_loss(logits, label, 0.0)
        return total

    criterion = teaforn("full", teaforn_prompt_end="a")
    actual = loss_and_gradients(model, lambda: criterion(model, sample)[0])
    assert_same(actual, loss_and_gradients(model, slot_by_slot))


@pytest.mark.parametrize("options", [{"ignore_prefix_size": 2}, {"ignore_prefix_size": 9}])
def test_free_running_with_k_tokens_is_the_last_step_of_n_l(build, batch, teaforn, options):
    model, sample = build(), batch((5, 3, 1, 4))
    full, unrolled = (
        teaforn("full", **options),
        teaforn("5", teaforn_weights="0,0,0,0,1", **options),
    )
    actual = loss_and_gradients(model, lambda: full(model, sample)[0])
    assert_same(actual, loss_and_gradients(model, lambda: unrolled(model, sample)[0]))


@pytest.mark.parametrize("loss", LOSSES)
def test_one_step_is_teacher_forcing_without_the_prompts(build, teaforn, stock_criterion, loss):
    model, sample = build("teaforn_transformer_lm", **LM), lines()
    rest = sample | {"target": Prefix(end=A).counting(sample["target"], PAD), "ntokens": 10}
    options = {"label_smoothing": 0.1, "report_accuracy": True}
    stock = stock_criterion(**options)
    criterion = teaforn("1", teaforn_prompt_end="a", teaforn_loss_impl=loss, **options)
    actual = loss_and_gradients(model, lambda: criterion(model, sample)[0])
    assert_same(actual, loss_and_gradients(model, lambda: stock(model, rest)[0]))
    (_, size, log), (_, own_size, own_log) = stock(model, rest), criterion(model, sample)
    assert own_size == size == 10
    for key in ("nll_loss", "ntokens", "sample_size", "nsentences", "n_correct", "total"):
        assert float(own_log[key]) == pytest.approx(float(log[key]), abs=1e-9), key


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ({"teaforn_labels": "aligned"}, [10, 10, 10]),
        ({"teaforn_labels": "shifted"}, [10, 10, 9]),  # y_2 of the second line is behind its prompt
    ],
)
def test_only_labels_behind_the_prompts_are_counted(build, teaforn, options, counts):
    model, sample = build("teaforn_transformer_lm", **LM), lines()
    options = options | {"teaforn_prompt_end": "a", "report_accuracy": True}
    criterion = teaforn(3, **options)
    whole, size, log = criterion(model, sample)
    assert (size, log["ntokens"], log["sample_size"]) == (10, 10, 10)
    for key in ("ntokens", "total"):
        assert [int(log[f"{key}_{step}"]) for step in (1, 2, 3)] == counts
    assert teaforn(3, sentence_avg=True, **options)(model, sample)[1] == 4
    per_token, _, unreduced = criterion(model, sample, reduce=False)
    given = Prefix(end=A).labels(sample["target"])
    if "aligned" in options.values():
        assert (per_token.view_as(given)[given] == 0).all()
        assert per_token.count_nonzero() == 10
    torch.testing.assert_close(per_token.sum(), whole)
    assert unreduced["ntokens"] == 10
    # Two batches of an update are one batch of all lines, as fairseq sums them.
    logs = [criterion(model, lines(LINES[part]))[2] for part in (slice(0, 1), slice(1, 4))]
    expected = reduced([log])
    assert reduced(logs) == pytest.approx(expected)
    nll = log["nll_loss_2"].item() / counts[1] / 0.6931471805599453
    assert expected["nll_loss_2"] == pytest.approx(nll, abs=6e-4)  # rounded to 3 places


@pytest.mark.parametrize(
    ("labels", "slots", "drawn", "counts"),
    # Shifted labels draw slots of prompts too, which may all be without a label.
    [("aligned", 3, 2, {2}), ("shifted", 6, 3, {0, 1, 2, 3})],
)
def test_the_mean_over_all_draws_of_positions_is_the_full_gradient(
    build, teaforn, monkeypatch, labels, slots, drawn, counts
):
    model, sample = build("teaforn_transformer_lm", **LM), lines([[A, 5, EOS], [6, A, EOS]])
    options = {"teaforn_prompt_end": "a", "teaforn_labels": labels}
    whole = loss_and_gradients(model, lambda: teaforn(2, **options)(model, sample)[0])
    draws = list(torch.combinations(torch.arange(slots), drawn))
    waiting = iter(draws)
    monkeypatch.setattr(torch, "randperm", lambda *args, **kwargs: next(waiting))
    criterion = teaforn(2, teaforn_sample_positions=0.5, **options)
    logs = []

    def mean():
        losses = []
        for _ in draws:
            loss, size, log = criterion(model, sample)
            assert size == log["ntokens_1"] == 3
            losses.append(loss)
            logs.append(log)
        return torch.stack(losses).mean()

    assert_same(loss_and_gradients(model, mean), whole)
    assert {int(log["ntokens_2"]) for log in logs} == counts
    # A draw of prompts alone shows no value.
    if 0 in counts:
        assert "nll_loss_2" not in reduced([x for x in logs if x["ntokens_2"] == 0])


def test_the_trainer_counts_and_checks_lines_before_they_leave_the_cpu(build, teaforn):
    criterion, sample = teaforn(2, teaforn_prompt_end="a"), lines()
    criterion.note_labels(sample)
    assert sample["num_labels"] == 10
    assert sample["prompt_sizes"] == PromptSizes(prompts=(10, 4), behind=(10, 3))
    noted = criterion(build("teaforn_transformer_lm", **LM), sample | {"num_labels": 5})
    assert noted[1] == 5  # not counted again
    teaforn(2).note_labels(other := lines())
    assert not {"num_labels", "prompt_sizes"} & other.keys()


@pytest.mark.parametrize("line", [[5, 6, 7, EOS], [5, 6, 7, A]], ids=["no end", "nothing behind"])
def test_a_line_without_a_prompt_is_refused(build, teaforn, line):
    criterion, sample = teaforn(2, teaforn_prompt_end="a"), lines([LINES[0], line])
    message = (
        "--teaforn-prompt-end: every row must hold the symbol, and go on behind it; received 'a'"
        f" and row 1 without: '{'b c d' if line[-1] == EOS else 'b c d a'}'. Put it behind the"
        " prompt of each line, or take the line out of the text; --shorten-method cuts lines that"
        " are longer than --tokens-per-sample."
    )
    model = build("teaforn_transformer_lm", **LM)
    for check in (criterion.note_labels, lambda x: criterion(model, x)):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            check(sample)


@pytest.mark.parametrize("word", ["z", "</s>", "<unk>"])
def test_a_symbol_that_is_no_word_is_refused(teaforn, word):
    message = (
        "--teaforn-prompt-end: must be a word of the dictionary and none of its special symbols;"
        f" received '{word}'. Choose the word with which the prompts of the text end, as"
        " fairseq-preprocess saw it."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        teaforn(2, teaforn_prompt_end=word)


def test_two_kinds_of_prefix_are_refused(teaforn):
    message = (
        "--teaforn-prompt-end: gives each row a prefix of its own, --ignore-prefix-size one of the"
        " same length to all; received 'a' with --ignore-prefix-size 2. Leave one of them out."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        teaforn(2, teaforn_prompt_end="a", ignore_prefix_size=2)
