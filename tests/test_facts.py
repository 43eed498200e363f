"""The facts that follow from the unroll (method.md, "Facts that follow, each worth a test")."""

import copy

import pytest
import reference
import torch
from comparing import CLOSE

from teaforn_fairseq.decoders.transformer import TransformerAdapter
from teaforn_fairseq.feedbacks.hidden import Hidden
from teaforn_fairseq.packed.packing import Packing
from teaforn_fairseq.unroll.prefix import Prefix
from teaforn_fairseq.unroll.steps import Start, UnrollSettings, unroll

pytestmark = pytest.mark.usefixtures("wide_softmax")


def states(model, net_input, num_steps, size=0):
    """h_t^(i) as (N, B, T, C), zero at padding, with a prefix of this size."""
    decoder, settings = TransformerAdapter(model.decoder), UnrollSettings(num_steps, Hidden())
    tokens, rows, vocabulary, encoder_output = model.read(**net_input)
    packing = Packing.of(tokens.ne(model.decoder.padding_idx))
    gold = packing.pack(vocabulary.dress(rows))
    places = decoder.places(tokens, packing, padded=False)
    runner = decoder.prepare(packing, encoder_output)
    given = Prefix(size).slots(tokens, packing)
    steps = unroll(runner, runner, Start(packing, gold, places, vocabulary, given), settings)
    return torch.stack([packing.unpack(features) for features in steps])


@pytest.fixture
def sentence(build, batch):
    """A model and a batch of one sentence of six tokens."""
    return build(), batch((6,))


STOCK_OPTIONS = {
    "plain": {},
    "layerdrop": {"decoder_layerdrop": 0.5},
    "quant-noise": {"quant_noise_pq": 0.3, "quant_noise_pq_block_size": 4},
    "checkpointed": {"checkpoint_activations": True},
    "no cross-attention": {"no_cross_attention": True},
}


@pytest.mark.parametrize("options", STOCK_OPTIONS.values(), ids=STOCK_OPTIONS)
def test_fact_1_one_step_is_teacher_forcing(build, batch, options):
    model, net_input = build(**options), batch()["net_input"]
    tokens = net_input["prev_output_tokens"]
    stock_model = copy.deepcopy(model)  # quant-noise changes the parameters as it runs
    torch.manual_seed(3)
    encoder_out = stock_model.encoder(net_input["src_tokens"], net_input["src_lengths"])
    stock, _ = stock_model.decoder.extract_features(tokens, encoder_out)
    torch.manual_seed(3)  # the same layers dropped
    actual = states(model, net_input, 1)[0]
    expected = stock.masked_fill(tokens.eq(model.decoder.padding_idx).unsqueeze(-1), 0)
    torch.testing.assert_close(actual, expected, **CLOSE)


def test_fact_2_a_state_sees_no_gold_token_later_than_t_minus_i(sentence):
    model, sample = sentence
    net_input = sample["net_input"]
    tokens = net_input["prev_output_tokens"]
    length = tokens.size(1)
    before = states(model, net_input, length)
    for j in range(length):
        changed = tokens.clone()
        changed[0, j] = 4 if tokens[0, j] != 4 else 5
        after = states(model, net_input | {"prev_output_tokens": changed}, length)
        moved = (after != before).any(-1)[:, 0]
        for i in range(1, length + 1):
            for t in range(1, length + 1):
                latest = max(t - i, 0)  # h_t^(i) stands at index [i - 1, t - 1]
                assert moved[i - 1, t - 1] == (j <= latest), (j, i, t)


def test_fact_3_step_t_is_final_for_slot_t_and_n_l_is_free_running(sentence):
    model, sample = sentence
    length = sample["target"].size(1)
    h = states(model, sample["net_input"], length + 2)
    for t in range(1, length + 1):
        final = h[t - 1, :, t - 1].expand(length + 3 - t, -1, -1)
        torch.testing.assert_close(h[t - 1 :, :, t - 1], final, **CLOSE)
        if t > 1:
            assert not torch.equal(h[t - 2, :, t - 1], h[t - 1, :, t - 1])
    source, target = sample["net_input"]["src_tokens"][0], sample["target"][0]
    slot_by_slot = reference.free_running(model, source, target)
    torch.testing.assert_close(h[length - 1, 0], slot_by_slot, **CLOSE)


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
        torch.testing.assert_close(gradients[0][name], gradient, **CLOSE)


def test_fact_5_slots_up_to_a_given_token_have_the_features_of_step_1(sentence):
    model, sample = sentence
    length = sample["target"].size(1)
    for size in range(length + 2):
        h = states(model, sample["net_input"], 3, size)[:, 0]
        same = [torch.allclose(h[0, t], h[2, t], **CLOSE) for t in range(length)]
        assert same == [t <= size for t in range(length)]
