"""Infinities, overflow, the shortest and the longest sentences, and no validation set."""

import shutil

import pytest
import reference
import torch
from commands import TEAFORN, Training, refusal, run
from comparing import assert_same, loss_and_gradients, reduced
from fairseq import optim
from fairseq.dataclass.configs import FairseqConfig
from fairseq.optim.adam import FairseqAdamConfig
from omegaconf import OmegaConf

from teaforn_fairseq.feedbacks import FEEDBACKS

WAYS = {
    **{name: {"n": "3", "teaforn_feedback": name} for name in FEEDBACKS},
    "hard gumbel": {"n": "2", "teaforn_feedback": "gumbel", "teaforn_hard": True},
    "shifted": {"n": "3", "teaforn_labels": "shifted"},
    "last step only": {"n": "2", "teaforn_weights": "0,1", "teaforn_mix": "0.5"},
    "first step only": {"n": "2", "teaforn_weights": "1,0", "teaforn_detach": True},
    "full": {"n": "full"},
    "one": {"n": "1"},
}


def gradient_norm(model):
    return torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm()


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("number", [float("inf"), float("nan")])
@pytest.mark.parametrize("place", ["encoder.layers.0.fc1.bias", "decoder.layers.1.fc1.weight"])
def test_a_number_that_is_not_finite_reaches_fairseqs_check(
    build, batch, teaforn, way, number, place
):
    """fairseq stops, or with fp16 skips the batch, when the gradient's norm is not finite."""
    model = build(share_all_embeddings=True)
    model.get_parameter(place).data.view(-1)[0] = number
    loss, _, _ = teaforn(**way)(model, batch())
    loss.backward()
    assert not loss.isfinite() and not gradient_norm(model).isfinite()


@pytest.fixture
def infinite(last, edited):
    """A real checkpoint with one infinite parameter."""

    def change(state):
        state["model"]["decoder.layers.0.fc1.weight"][0, 0] = float("inf")

    return edited(last, change)


@pytest.mark.parametrize(
    "options",
    [
        ["--criterion", "label_smoothed_cross_entropy"],
        [*TEAFORN, "--teaforn-feedback", "sample"],
        [*TEAFORN, "--teaforn-n", "3", "--clip-norm", "1"],
    ],
    ids=["stock", "sample", "clipped"],
)
def test_training_stops_before_a_checkpoint_is_spoilt(data, infinite, tmp_path, options):
    load = ["--restore-file", infinite, "--reset-optimizer", "--reset-dataloader"]
    training = Training(data, tmp_path / "run", *options, *load, log=tmp_path / "log")
    assert "FloatingPointError: gradients are Nan/Inf" in training.finish(fails=True)
    assert not list((tmp_path / "run").glob("checkpoint*"))


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_overflow_in_half_precision_skips_the_batch_and_lowers_the_loss_scale(
    build, batch, teaforn, way
):
    model = build().half()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    model.decoder.layers[0].fc1.bias.data.fill_(60000.0)  # float16 ends at 65504
    model.decoder.layers[0].fc2.weight.data.fill_(10.0)
    optimizer = half_precision_optimizer(model)
    before = [parameter.clone() for parameter in model.parameters()]
    loss, sample_size, _ = teaforn(**way)(model, batch())
    optimizer.backward(loss)
    optimizer.multiply_grads(1 / sample_size)
    scale = optimizer.scaler.loss_scale
    with pytest.raises(OverflowError):
        optimizer.clip_grad_norm(0)
    assert optimizer.scaler.loss_scale == scale / 2
    assert all(torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))


def half_precision_optimizer(model):
    """fairseq's --fp16, which its command line refuses without a GPU."""
    cfg = OmegaConf.structured(FairseqConfig())
    cfg.common.fp16, cfg.common.fp16_no_flatten_grads = True, True
    cfg.optimizer = OmegaConf.structured(FairseqAdamConfig(_name="adam", use_old_adam=True))
    return optim.FP16Optimizer.build_optimizer(cfg, list(model.parameters()))


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_targets_and_sources_of_one_token_give_finite_values(build, batch, teaforn, way):
    model = build()
    sample = batch((1, 1), source_lengths=(1, 1))  # eos alone
    loss, sample_size, log = teaforn(**way, report_accuracy=True)(model, sample)
    loss.backward()
    assert sample_size == 2
    assert loss.isfinite() and gradient_norm(model).isfinite() and gradient_norm(model) > 0
    assert all(float(value) == float(value) for value in reduced([log]).values())


@pytest.mark.usefixtures("wide_softmax")
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("learned", [False, True])
def test_the_longest_target_allowed_follows_the_formula(build, batch, teaforn, shifted, learned):
    longest = {"max_target_positions": 9, "max_source_positions": 9}
    model = build(decoder_learned_pos=learned, encoder_learned_pos=learned, **longest)
    sample = batch((9, 2), source_lengths=(9, 9))
    assert model.max_positions() == (9, 9)
    criterion = teaforn(3, teaforn_labels="shifted" if shifted else "aligned")
    actual = loss_and_gradients(model, lambda: criterion(model, sample)[0])
    weights = (1, 0.5, 0.25)
    assert_same(
        actual,
        loss_and_gradients(model, lambda: reference.loss(model, sample, weights, shifted=shifted)),
    )


def test_an_empty_validation_set_ends_training_before_it_starts(data, tmp_path):
    (tmp_path / "valid.en").touch()
    (tmp_path / "valid.de").touch()
    run(
        *("fairseq-preprocess", "--source-lang", "en", "--target-lang", "de"),
        *("--srcdict", data / "dict.en.txt", "--tgtdict", data / "dict.de.txt"),
        *("--validpref", tmp_path / "valid", "--destdir", tmp_path / "bin"),
    )
    for path in data.glob("train.*"):
        shutil.copy(path, tmp_path / "bin")
    for task in ("translation", "teaforn_translation"):
        options = [*TEAFORN, "--task", task, "--max-update", "2"]
        assert "empty" in refusal(tmp_path / "bin", tmp_path / "run", *options)
