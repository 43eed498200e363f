"""The twins of every family, held against the stock models and the formula."""

from argparse import ArgumentParser, Namespace

import pytest
import reference
import torch
from comparing import assert_same, gradients, loss_and_gradients, replayed
from fairseq.data import TruncatedDictionary
from fairseq.data.monolingual_dataset import collate
from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_INV_REGISTRY, ARCH_MODEL_REGISTRY

FAMILIES = ("transformer", "bart", "transformer_lm", "lightconv")
ARCHS = [arch for family in FAMILIES for arch in ARCH_MODEL_INV_REGISTRY[family]]
ADAPTIVE = ["transformer_lm_wiki103", "transformer_lm_baevski_wiki103"]
OPTIONS = {
    "transformer": {},
    "bart": {"task": "translation"},
    "transformer_lm": {"decoder_input_dim": 8, "decoder_output_dim": 8},
    "lightconv": {
        **{"encoder_kernel_size_list": [3, 3], "decoder_kernel_size_list": [3, 3]},
        **{"encoder_conv_type": "dynamic", "decoder_conv_type": "dynamic"},
        **{"weight_softmax": True, "weight_dropout": 0.0},
    },
}
LIGHTWEIGHT = {"encoder_conv_type": "lightweight", "decoder_conv_type": "lightweight"}
# No target is shorter than a kernel: fairseq's DynamicConv then takes its softmax over as many
# weights as the batch has slots, so that padding and decoding slot by slot change its output.
DECODERS = {
    "transformer": ("transformer", {"share_all_embeddings": True}),
    "transformer, pre-norm": ("transformer", {"decoder_normalize_before": True}),
    "bart": ("bart_base", {}),
    "mbart": ("mbart_base_wmt20", {"decoder_normalize_before": True}),
    "lm": ("transformer_lm", {}),
    "gpt": ("transformer_lm_gpt", {"share_decoder_input_output_embed": True}),
    "gpt3": ("transformer_lm_gpt3_small", {}),
    "dynamicconv": ("lightconv", {}),
    "lightconv": ("lightconv_iwslt_de_en", LIGHTWEIGHT | {"share_all_embeddings": True}),
    "lightconv, pre-norm": ("lightconv", LIGHTWEIGHT | {"decoder_normalize_before": True}),
}
LENGTHS = (5, 3, 4)


def family_of(arch):
    return next(family for family in FAMILIES if arch in ARCH_MODEL_INV_REGISTRY[family])


@pytest.fixture
def small(build):
    """small(arch, prefix, option=value, ...): a small model of the architecture or its twin."""
    return lambda arch, prefix="teaforn_", **options: build(
        f"{prefix}{arch}", **{**OPTIONS[family_of(arch)], **options}
    )


@pytest.fixture
def sample_for(batch, task):
    """sample_for(arch): a padded batch of the architecture's task."""
    dictionary = task.source_dictionary

    def streams():
        samples = []
        for number, length in enumerate(LENGTHS):
            words = torch.randint(dictionary.eos(), len(dictionary), (length + 1,))
            samples.append({"id": number, "source": words[:-1], "target": words[1:].clone()})
        samples[1]["target"][-1] = dictionary.pad()  # as where fairseq scores a text
        return collate(samples, dictionary.pad(), dictionary.eos())

    return lambda arch: streams() if family_of(arch) == "transformer_lm" else batch(LENGTHS)


@pytest.fixture
def pair(small):
    """The stock model and its twin with the same parameters."""

    def build_pair(arch, **options):
        stock, twin = small(arch, "", **options), small(arch, **options)
        twin.load_state_dict(stock.state_dict(), strict=True)
        return stock, twin

    return build_pair


def option_strings(arch):
    parser = ArgumentParser()
    ARCH_MODEL_REGISTRY[arch].add_args(parser)
    return {string for action in parser._actions for string in action.option_strings}


def sizes(arch):
    """What the architecture stands for."""
    options = Namespace()
    ARCH_CONFIG_REGISTRY[arch](options)
    return vars(options)


@pytest.mark.parametrize("arch", [arch for arch in ARCHS if arch not in ADAPTIVE])
def test_every_architecture_has_a_twin_with_its_parameters(small, arch):
    stock, twin = small(arch, ""), small(arch)
    assert type(twin) is ARCH_MODEL_REGISTRY[f"teaforn_{arch}"]
    shapes = [(name, value.shape) for name, value in stock.state_dict().items()]
    assert [(name, value.shape) for name, value in twin.state_dict().items()] == shapes
    stock.load_state_dict(twin.state_dict(), strict=True)


@pytest.mark.parametrize("arch", ARCHS)
def test_a_twin_has_the_stock_options_and_one_more(arch):
    assert option_strings(f"teaforn_{arch}") == option_strings(arch) | {"--teaforn-unshared"}
    assert sizes(f"teaforn_{arch}") == sizes(arch)


@pytest.mark.parametrize("eps", [0.0, 0.1])
@pytest.mark.parametrize(("arch", "options"), DECODERS.values(), ids=DECODERS)
def test_one_step_is_the_stock_criterion_bit_for_bit(
    pair, sample_for, teaforn, stock_criterion, arch, options, eps
):
    (stock, twin), sample = pair(arch, **options), sample_for(arch)
    loss, size, log = stock_criterion(eps, report_accuracy=True)(stock, sample)
    plain = {"report_accuracy": True, "teaforn_loss_impl": "plain"}
    own_loss, own_size, own_log = teaforn("1", label_smoothing=eps, **plain)(twin, sample)
    assert (own_loss, own_size) == (loss, size)
    first_step = {f"{key}_1": log[key] for key in ("nll_loss", "ntokens", "n_correct", "total")}
    assert own_log == log | first_step
    loss.backward()
    own_loss.backward()
    assert gradients(twin).keys() == gradients(stock).keys()
    for name, gradient in gradients(stock).items():
        assert torch.equal(gradients(twin)[name], gradient), name


def test_training_curve_and_final_parameters_are_the_stock_ones(
    pair, batch, teaforn, stock_criterion
):
    stock, twin = pair("transformer", dropout=0.3)
    batches = [batch((4, 2, 3)) for _ in range(4)]
    curves = []
    for model, criterion in (
        (stock, stock_criterion(0.1)),
        (twin, teaforn("1", label_smoothing=0.1, teaforn_loss_impl="plain")),
    ):
        torch.manual_seed(7)  # the same dropout
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        curve = []
        for update in range(48):
            optimizer.zero_grad()
            loss, _, _ = criterion(model, batches[update % len(batches)])
            loss.backward()
            optimizer.step()
            curve.append(loss.item())
        curves.append(curve)
    assert curves[0] == curves[1]
    assert curves[0][-1] < 0.8 * curves[0][0]
    for p, own_p in zip(stock.parameters(), twin.parameters(), strict=True):
        assert torch.equal(p, own_p)


@pytest.mark.usefixtures("wide_softmax")
@pytest.mark.parametrize("unshared", [False, True])
@pytest.mark.parametrize("labels", ["aligned", "shifted"])
@pytest.mark.parametrize(("arch", "options"), DECODERS.values(), ids=DECODERS)
def test_loss_and_gradients_follow_the_formula(
    small, sample_for, teaforn, arch, options, labels, unshared
):
    model, sample = small(arch, teaforn_unshared=unshared, **options), sample_for(arch)
    criterion = teaforn("3", label_smoothing=0.1, teaforn_labels=labels)
    actual = loss_and_gradients(model, lambda: criterion(model, sample)[0])
    expected = loss_and_gradients(
        model,
        lambda: reference.loss(model, sample, (1, 0.5, 0.25), 0.1, shifted=labels == "shifted"),
    )
    assert_same(actual, expected)


@pytest.mark.usefixtures("wide_softmax")
@pytest.mark.parametrize(("arch", "options"), DECODERS.values(), ids=DECODERS)
def test_free_running_equals_the_last_step_of_n_l(small, sample_for, teaforn, arch, options):
    model, sample = small(arch, **options), sample_for(arch)
    full, unrolled = teaforn("full"), teaforn("5", teaforn_weights="0,0,0,0,1")
    actual = loss_and_gradients(model, lambda: full(model, sample)[0])
    assert_same(actual, loss_and_gradients(model, lambda: unrolled(model, sample)[0]))


@pytest.mark.parametrize(("arch", "options"), DECODERS.values(), ids=DECODERS)
def test_called_the_stock_way_the_twin_computes_the_stock_output(pair, sample_for, arch, options):
    (stock, twin), net_input = pair(arch, **options), sample_for(arch)["net_input"]
    # Scores, attention and inner states.
    torch.testing.assert_close(twin(**net_input), stock(**net_input), rtol=0, atol=0)


def test_bart_keeps_its_features_and_classification_heads(pair, batch):
    (stock, twin), net_input = pair("bart_base"), batch(LENGTHS)["net_input"]
    net_input["prev_output_tokens"] = net_input["src_tokens"]  # as fairseq classifies
    for model in (stock, twin):
        torch.manual_seed(3)
        model.register_classification_head("topic", num_classes=4)
        model.double().eval()
    for options in ({"features_only": True}, {"classification_head_name": "topic"}):
        expected = stock(**net_input, **options)[0]
        # Before torch 2.5 attention makes NaN of the padding in front of these inputs.
        exactly = {"rtol": 0, "atol": 0, "equal_nan": True}
        torch.testing.assert_close(twin(**net_input, **options)[0], expected, **exactly)
    assert twin(**net_input, classification_head_name="topic")[0].shape == (3, 4)


@pytest.mark.parametrize("unshared", [False, True])
def test_bart_starts_from_weights_in_the_form_they_are_published_in(small, unshared):
    stock, twin = small("bart_large", ""), small("bart_large", teaforn_unshared=unshared)
    published = {name: value.clone() for name, value in stock.state_dict().items()}
    del published["decoder.output_projection.weight"]  # was not stored beside the embedding
    for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"):
        mask = torch.zeros(1, published[name].size(1), dtype=torch.double)
        published[name] = torch.cat([published[name], mask])  # pretraining's <mask>
    twin.load_state_dict(published, strict=True)
    for name, value in stock.state_dict().items():
        assert torch.equal(twin.state_dict()[name], value), name


@pytest.mark.usefixtures("wide_softmax")
@pytest.mark.parametrize("feedback", ["topk", "gumbel"])
def test_a_limited_output_dictionary_follows_the_formula(
    small, sample_for, teaforn, task, monkeypatch, feedback
):
    few = TruncatedDictionary(task.source_dictionary, 9)
    monkeypatch.setattr(task, "tgt_dict", few)
    model, sample = small("transformer_lm"), sample_for("transformer_lm")
    # One sentence: reference and code then draw the same random numbers in the same order.
    sample["net_input"] = {key: rows[:1] for key, rows in sample["net_input"].items()}
    sample["target"] = sample["target"][:1]
    sample["target"][sample["target"] >= len(few)] = few.unk()
    options, formula = {
        "topk": ({"teaforn_topk": 0}, reference.topk(0)),
        "gumbel": ({}, reference.gumbel(1.0)),
    }[feedback]
    criterion = teaforn("2", teaforn_feedback=feedback, **options)

    actual = loss_and_gradients(model, lambda: replayed(lambda: criterion(model, sample)[0]))
    expected = loss_and_gradients(
        model,
        lambda: replayed(lambda: reference.loss(model, sample, (1, 0.5), feedback=formula)),
    )
    assert len(model.decoder.output_projection.weight) == 9
    assert_same(actual, expected)


REFUSED = [
    ("transformer", "adaptive_softmax_cutoff", "4,8", "the full softmax"),
    ("bart_base", "adaptive_softmax_cutoff", "4,8", "the full softmax"),
    ("lightconv", "adaptive_softmax_cutoff", "4,8", "the full softmax"),
    ("transformer_lm", "adaptive_softmax_cutoff", "4,8", "the full softmax"),
    ("transformer_lm", "adaptive_input", True, "one embedding table"),
    ("transformer_lm", "character_embeddings", True, "one embedding table"),
]


@pytest.mark.parametrize(("arch", "option", "value", "need"), REFUSED)
def test_what_cannot_be_unrolled_is_refused_when_the_model_is_built(
    small, arch, option, value, need
):
    with pytest.raises(ValueError) as error:
        small(arch, **{option: value})
    assert str(error.value) == (
        f"--{option.replace('_', '-')}: TeaForN needs {need}; received {value}. Choose an"
        " architecture without it and leave it out, or train the stock architecture."
    )


@pytest.mark.parametrize("arch", ADAPTIVE)
def test_an_architecture_with_adaptive_softmax_is_refused(small, arch):
    with pytest.raises(ValueError, match="^--adaptive-softmax-cutoff: .* received 20000,60000"):
        small(arch)
