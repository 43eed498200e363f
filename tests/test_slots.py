"""Packing by hand: which tokens are real, where rows begin, and the ways back."""

import pytest
import torch
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.options import get_training_parser, parse_args_and_arch
from fairseq.trainer import Trainer

from teaforn_fairseq.packed.packing import Packing, target_slots
from teaforn_fairseq.packed.shared_table import look_up

TOKENS = torch.tensor([[2, 5, 6, 1], [1, 1, 2, 7], [3, 4, 5, 6]])  # 1 is padding, on either side
VALUES = 10 * torch.arange(12.0).view(3, 4)


@pytest.mark.parametrize("num_tokens", [None, 9])
def test_real_tokens_and_the_way_back(num_tokens):
    packing = Packing.of(TOKENS.ne(1), num_tokens)
    assert packing.pack(TOKENS).tolist() == [2, 5, 6, 2, 7, 3, 4, 5, 6]
    assert packing.begins.int().tolist() == [1, 0, 0, 1, 0, 1, 0, 0, 0]
    rows = packing.rows(packing.pack(VALUES))
    assert rows.tolist() == [[0, 10, 20, 0], [60, 70, 0, 0], [80, 90, 100, 110]]
    assert packing.unrows(rows).tolist() == packing.pack(VALUES).tolist()
    assert packing.unpack(packing.pack(VALUES))[1].tolist() == [0, 0, 60, 70]
    assert not packing.full


def test_without_padding_nothing_moves():
    packing = Packing.of(TOKENS[2:].ne(1))
    assert packing.full
    assert packing.pack(VALUES[2:]).data_ptr() == VALUES[2:].data_ptr()
    assert packing.rows(packing.pack(VALUES[2:])).data_ptr() == VALUES[2:].data_ptr()


def test_a_number_above_the_real_tokens_takes_padding_in_without_moving_a_token():
    packing = Packing.of(TOKENS.ne(1), 12)
    assert packing.pack(TOKENS).tolist() == TOKENS.flatten().tolist()
    few = Packing.of(TOKENS.ne(1), 10)
    assert sorted(few.pack(TOKENS).tolist()) == [1, 2, 2, 3, 4, 5, 5, 6, 6, 7]


@pytest.mark.parametrize("padding_idx", [None, 3])
def test_rows_and_table_have_one_gradient_as_autograd_would_sum_it(padding_idx):
    table = torch.randn(7, 4, dtype=torch.double, requires_grad=True)
    tokens, h = torch.tensor([3, 0, 3, 6, 6]), torch.randn(5, 4, dtype=torch.double)

    def objective(whole, rows):
        return (h @ whole.T).logsumexp(-1).sum() + (rows * h).sum()

    plain = torch.nn.functional.embedding(tokens, table, padding_idx)
    (expected,) = torch.autograd.grad(objective(table, plain), table)
    (actual,) = torch.autograd.grad(objective(*look_up(table, tokens, padding_idx)), table)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def test_fairseqs_trainer_notes_the_slots_before_a_batch_leaves_the_cpu(
    build, batch, teaforn, task
):
    words = ["data", "--arch", "teaforn_transformer", "--cpu", "--max-tokens", "9", "--lr", "1"]
    words += ["--optimizer", "sgd", "--criterion", "teaforn_cross_entropy"]
    cfg = convert_namespace_to_omegaconf(parse_args_and_arch(get_training_parser(), words))
    trainer, sample = Trainer(cfg, task, build(), teaforn(2)), batch((4, 2))
    assert trainer._prepare_sample(sample)[0]["num_slots"] == 6


def test_slots_reach_from_the_first_to_the_last_that_has_an_input_or_a_label():
    tokens = torch.tensor([[2, 5, 1, 1, 6, 1], [1, 1, 2, 1, 5, 6]])
    target = torch.tensor([[5, 1, 1, 6, 2, 1], [1, 1, 1, 5, 6, 2]])
    expected = [[1, 1, 1, 1, 1, 0], [0, 0, 1, 1, 1, 1]]
    assert target_slots(tokens, target, 1).int().tolist() == expected


@pytest.mark.parametrize("values", [torch.arange(1.0, 7), torch.tensor([True] * 6)])
def test_values_move_ahead_within_their_rows(values):
    packing = Packing.of(torch.tensor([[0, 1, 1], [1, 1, 1], [1, 0, 0]]).bool())
    x = values.tolist()
    empty = type(x[0])()
    assert packing.ahead(values, 0).tolist() == x
    assert packing.ahead(values, 1).tolist() == [x[1], empty, x[3], x[4], empty, empty]
    assert packing.ahead(values[:, None], 2)[:, 0].tolist() == [empty] * 2 + [x[4]] + [empty] * 3
    assert packing.ahead(values, 9).tolist() == [empty] * 6
