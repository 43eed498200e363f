"""Under bfloat16 autocast TeaForN is as close to float32 as stock fairseq is."""

import torch
from commands import ONCE, TEAFORN, train


def test_autocast_loss_and_gradients_are_as_close_to_float32_as_stock_ones(
    build, batch, teaforn, stock_criterion
):
    model = build(share_all_embeddings=True, encoder_embed_dim=32, decoder_embed_dim=32).float()
    for parameter in model.parameters():  # a usual scale, so that float32 is a fair truth
        torch.nn.init.normal_(parameter, std=0.1)
    sample = batch((9, 5, 1, 7, 8, 6))
    stock_error = relative_errors(model, stock_criterion(0.1), sample)
    own_error = relative_errors(model, teaforn(3, label_smoothing=0.1), sample)
    bf16_step = 2**-8
    assert own_error["loss"] <= stock_error["loss"] + bf16_step
    assert own_error["gradient"] <= 2 * stock_error["gradient"] + bf16_step


def relative_errors(model, criterion, sample):
    loss, gradient = loss_and_gradient(model, criterion, sample)
    with torch.autocast("cpu", torch.bfloat16):
        half_loss, half_gradient = loss_and_gradient(model, criterion, sample)
    assert half_loss.isfinite() and half_gradient.isfinite().all()
    assert not torch.equal(half_gradient, gradient)  # autocast did something
    return {
        "loss": ((half_loss - loss) / loss).abs(),
        "gradient": (half_gradient - gradient).norm() / gradient.norm(),
    }


def loss_and_gradient(model, criterion, sample):
    model.zero_grad()
    loss, _, _ = criterion(model, sample)
    loss.backward()
    return loss.detach(), torch.cat([p.grad.flatten() for p in model.parameters()])


def test_a_bfloat16_model_sums_its_loss_in_float32(build, batch, teaforn):
    model = build().bfloat16()
    loss, _, log = teaforn(2)(model, batch())
    assert loss.dtype == torch.float32
    assert loss.isfinite() and log["nll_loss_2"].isfinite()


def test_bf16_does_not_ask_for_a_tpu_that_is_not_there(data, tmp_path):
    log = train(data, tmp_path, *TEAFORN, *ONCE, "--bf16")
    assert float(log["train_inner"][0]["loss"]) > 0
