"""``torch.jit.script`` of the twins, where it works on the stock models."""

import pytest
import torch
from comparing import loss_and_gradients
from fairseq.sequence_generator import EnsembleModel, SequenceGenerator

DYNAMIC = {"encoder_conv_type": "dynamic", "decoder_conv_type": "dynamic", "weight_softmax": True}
KERNELS = {"encoder_kernel_size_list": [3, 3], "decoder_kernel_size_list": [3, 3]}
# A language model's own forward takes any arguments, which stops TorchScript in stock as well.
TWINS = {
    "transformer": ("transformer", {"share_all_embeddings": True}),
    "unshared": ("transformer", {"teaforn_unshared": True}),
    "bart": ("bart_base", {}),
    "lightconv": ("lightconv", DYNAMIC | KERNELS | {"weight_dropout": 0.0}),
}


@pytest.fixture(params=TWINS)
def twin(request, build):
    arch, options = TWINS[request.param]
    return build(f"teaforn_{arch}", **options).float().eval()


def test_the_scripted_model_computes_what_the_model_does(twin, batch):
    net_input = batch((5, 5), (4, 4))["net_input"]
    with torch.no_grad():
        expected, actual = twin(**net_input)[0], torch.jit.script(twin)(**net_input)[0]
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_a_scripted_ensemble_and_generator_translate_as_they_are(twin, batch, task):
    scripted_ensemble = torch.jit.script(EnsembleModel([twin]))
    assert scripted_ensemble.has_incremental_states()
    net_input = batch((5, 3), (6, 4))["net_input"]
    sample = {"net_input": {key: net_input[key] for key in ("src_tokens", "src_lengths")}}

    def translations(script):
        generator = SequenceGenerator([twin], task.target_dictionary, beam_size=3, max_len_b=8)
        generator = torch.jit.script(generator) if script else generator
        return [[list(map(int, h["tokens"])) for h in beam] for beam in generator(sample)]

    assert translations(script=True) == translations(script=False)


def test_a_model_that_was_scripted_trains_on(build, batch, teaforn):
    model, sample = build(teaforn_unshared=True), batch()
    before = loss_and_gradients(model, lambda: teaforn(2)(model, sample)[0])
    names = list(model.state_dict())
    scripted = torch.jit.script(model)
    assert not any(name.startswith("unshared") for name in scripted.state_dict())
    after = loss_and_gradients(model, lambda: teaforn(2)(model, sample)[0])
    assert torch.equal(after[0], before[0])
    assert list(model.state_dict()) == names
    assert all(torch.equal(after[1][name], g) for name, g in before[1].items())
