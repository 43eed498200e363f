"""A language model's prompt goes through the decoder once (method.md, "A prefix that is given")."""

import pytest
import reference
import torch
from comparing import assert_same, loss_and_gradients
from prompted_lines import EOS, LM, PAD, A, behind_a, lines
from torch.utils.flop_counter import FlopCounterMode

from teaforn_fairseq.decoders.transformer import TransformerAdapter
from teaforn_fairseq.packed.packing import Packing

pytestmark = pytest.mark.usefixtures("wide_softmax")
WEIGHTS = (1, 0.5, 0.25)
MODELS = {  # each in a way of its own between embedding and keys
    "norm first": {"decoder_normalize_before": True},
    "norm last": {"decoder_normalize_before": False},
    "one layer": {"decoder_layers": 1},
    "no positions": {"no_token_positional_embeddings": True},
    "norm of embeddings": {"layernorm_embedding": True},
    "unshared": {"teaforn_unshared": True},
    "fairseq's layers": {"scale_heads": True},  # these run prompts at every step
}
MULTIPLY = {torch.ops.aten.mm, torch.ops.aten.addmm}


@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("recompute", [False, True])
def test_loss_and_gradients_follow_the_formula(build, teaforn, options, recompute):
    model, sample = build("teaforn_transformer_lm", **LM | options), lines()
    criterion = teaforn(3, teaforn_prompt_end="a", teaforn_recompute=recompute)
    actual = loss_and_gradients(model, lambda: criterion(model, sample)[0])
    expected = loss_and_gradients(
        model, lambda: reference.loss(model, sample, WEIGHTS, given=behind_a)
    )
    assert_same(actual, expected)


def test_a_batch_with_padding_inside_runs_prompts_at_every_step(build, teaforn, monkeypatch):
    model = build("teaforn_transformer_lm", **LM)
    sample = lines([[5, PAD, 6, A, 7, 8, EOS], [6, A, 9, PAD, 10, EOS]])

    def result():
        criterion = teaforn(3, teaforn_prompt_end="a")
        return loss_and_gradients(model, lambda: criterion(model, sample)[0])

    actual = result()
    monkeypatch.setattr(TransformerAdapter, "takes_prompts", False)
    assert_same(actual, result())


def test_a_further_step_costs_the_same_however_long_the_prompt_is(build, teaforn):
    model = build("teaforn_transformer_lm", **LM)

    def further(prompt):
        samples = lines([[*prompt, A, 7, 8, EOS], [*prompt, 5, A, 9, EOS]])
        two, three = (products(model, teaforn(n, teaforn_prompt_end="a"), samples) for n in (2, 3))
        return three - two

    assert further([5]) == further([5, 6, 7, 8, 9, 10]) > 0


def products(model, criterion, sample):
    """Multiply-adds of an update's matrix products but attention's."""
    with FlopCounterMode(display=False) as counter:
        criterion(model, sample)[0].backward()
    return sum(n for kind, n in counter.get_flop_counts()["Global"].items() if kind in MULTIPLY)


def test_rows_are_no_longer_than_the_longest():
    wanted = torch.tensor([[0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 1, 1]]).bool()
    packing = Packing.of(wanted, 5, length=2)
    values = packing.pack(10 * torch.arange(12).view(3, 4))
    assert values.tolist() == [10, 20, 60, 100, 110]
    assert packing.begins.int().tolist() == [1, 0, 1, 1, 0]
    rows = packing.rows(values)
    assert rows.tolist() == [[10, 20], [60, 0], [100, 110]]
    assert packing.unrows(rows).tolist() == values.tolist()
    assert packing.unpack(values).tolist() == [[0, 10, 20, 0], [0, 0, 60, 0], [0, 0, 100, 110]]
    assert packing.ahead(values, 1).tolist() == [20, 0, 0, 110, 0]
    even = Packing.of(wanted[::2], 4, length=2)
    assert even.rows(torch.arange(4)).tolist() == [[0, 1], [2, 3]]
    assert even.unpack(torch.arange(1, 5)).tolist() == [[0, 1, 2, 0], [0, 0, 3, 4]]
