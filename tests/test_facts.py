"""The facts that follow from the unroll (method.md, "Facts that follow, each worth a test")."""

import copy

import pytest
import reference
import torch

from teaforn_fairseq.decoders.transformer import TransformerAdapter
from teaforn_fairseq.feedbacks import FEEDBACKS
from teaforn_fairseq.unroll import UnrollSettings, first_slots, shift_right, unroll

CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def states(model, encoder_out, tokens, num_steps):
    """h_t^(i) as (N, B, T, C)."""
    settings = UnrollSettings(num_steps, FEEDBACKS["hidden"]())
    steps = unroll(TransformerAdapter(model.decoder), tokens, encoder_out, settings)
    return torch.stack(list(steps))


@pytest.fixture
def encoded(build, batch):
    """A model, the encoder's output and the decoder input of one sentence of six tokens."""
    model, sample = build(), batch((6,))
    net_input = sample["net_input"]
    encoder_out = model.encoder(net_input["src_tokens"], net_input["src_lengths"])
    return model, encoder_out, net_input["prev_output_tokens"], sample


STOCK_OPTIONS = {
    "dropout": {"dropout": 0.3, "attention_dropout": 0.2, "activation_dropout": 0.1},
    "layerdrop": {"decoder_layerdrop": 0.5},
    "quant-noise": {"quant_noise_pq": 0.3, "quant_noise_pq_block_size": 4},
    "checkpointed": {"checkpoint_activations": True},
    "no cross-attention": {"no_cross_attention": True},
}


@pytest.mark.parametrize("options", STOCK_OPTIONS.values(), ids=STOCK_OPTIONS)
def test_fact_1_one_step_is_teacher_forcing(build, batch, options):
    model, net_input = build(**options), batch()["net_input"]
    encoder_out = model.encoder(net_input["src_tokens"], net_input["src_lengths"])
    tokens = net_input["prev_output_tokens"]
    stock_model = copy.deepcopy(model)  # quant-noise changes the parameters as it runs
    torch.manual_seed(3)
    stock, _ = stock_model.decoder.extract_features(tokens, encoder_out)
    torch.manual_seed(3)  # the same dropout, the same layers dropped
    torch.testing.assert_close(states(model, encoder_out, tokens, 1)[0], stock, **CLOSE)


def test_fact_2_a_state_sees_no_gold_token_later_than_t_minus_i(encoded):
    model, encoder_out, tokens, _ = encoded
    length = tokens.size(1)
    before = states(model, encoder_out, tokens, length)
    for j in range(length):
        changed = tokens.clone()
        changed[0, j] = 4 if tokens[0, j] != 4 else 5
        moved = (states(model, encoder_out, changed, length) != before).any(-1)[:, 0]
        for i in range(1, length + 1):
            for t in range(1, length + 1):
                latest = max(t - i, 0)  # h_t^(i) stands at index [i - 1, t - 1]
                assert moved[i - 1, t - 1] == (j <= latest), (j, i, t)


def test_fact_3_step_t_is_final_for_slot_t_and_n_l_is_free_running(encoded):
    model, encoder_out, tokens, sample = encoded
    length = tokens.size(1)
    h = states(model, encoder_out, tokens, length + 2)
    for t in range(1, length + 1):
        final = h[t - 1, :, t - 1].expand(length + 3 - t, -1, -1)
        torch.testing.assert_close(h[t - 1 :, :, t - 1], final, **CLOSE)
        if t > 1:
            assert not torch.equal(h[t - 2, :, t - 1], h[t - 1, :, t - 1])
    source, target = sample["net_input"]["src_tokens"][0], sample["target"][0]
    slot_by_slot = reference.free_running(model, source, target)
    torch.testing.assert_close(h[length - 1, 0], slot_by_slot, rtol=1e-5, atol=1e-5)


def test_fact_4_weight_on_the_first_step_alone_gives_teacher_forcing(
    build, batch, teaforn, stock_criterion
):
    model, sample = build(share_all_embeddings=True), batch()
    gradients = []
    for criterion in (teaforn(3, teaforn_discount=0.0), stock_criterion()):
        model.zero_grad()
        criterion(model, sample)[0].backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    for name, gradient in gradients[1].items():
        # The stock criterion takes its log-softmax in float32.
        torch.testing.assert_close(gradients[0][name], gradient, rtol=1e-5, atol=1e-5)


def test_slots_of_a_three_token_target():
    tokens = torch.tensor([[2, 5, 6, 1], [1, 1, 2, 7]])  # 1 is padding, on either side
    assert first_slots(tokens, 1).int().tolist() == [[1, 0, 0, 0], [0, 0, 1, 0]]
    vectors = torch.tensor([[[1.0], [2.0], [3.0]]])
    assert shift_right(vectors).tolist() == [[[0.0], [1.0], [2.0]]]
