"""Steps 2..N with layers and a final norm of their own."""

import pytest
import torch
from commands import PLUGIN, ROOT, TEAFORN, generate, run, train
from comparing import loss_and_gradients


@pytest.fixture
def unshared(build):
    """A small model whose further layers have parameters of their own."""
    return build(teaforn_unshared=True, share_all_embeddings=True, decoder_normalize_before=True)


def test_embeddings_and_output_projection_stay_single(unshared, build):
    stock = build("transformer", share_all_embeddings=True, decoder_normalize_before=True)
    added = unshared.state_dict().keys() - stock.state_dict().keys()
    kinds = {name.split(".")[1] for name in added}
    assert all(name.startswith("unshared_decoder.") for name in added)
    assert kinds == {"layers", "layer_norm"}


@pytest.mark.parametrize(
    ("weights", "detach", "first", "further"),
    [
        ("1,0", False, True, False),
        ("0,1", False, True, True),  # the first layers learn through the feedback
        ("0,1", True, False, True),
        ("1,1", True, True, True),
    ],
)
def test_gradients_reach_the_right_layers_only(
    unshared, batch, teaforn, weights, detach, first, further
):
    criterion = teaforn("2", teaforn_weights=weights, teaforn_detach=detach)
    _, gradients = loss_and_gradients(unshared, lambda: criterion(unshared, batch())[0])

    def learns(prefix):
        return any(bool(g.any()) for name, g in gradients.items() if name.startswith(prefix))

    assert learns("decoder.layers.") == first
    assert learns("unshared_decoder.layers.") == further


@pytest.mark.parametrize("arch", ["transformer", "teaforn_transformer"])
def test_a_checkpoint_of_shared_layers_starts_both(build, arch):
    shared, unshared = build(arch), build(teaforn_unshared=True)
    unshared.load_state_dict(shared.state_dict(), strict=True)
    for name, parameter in unshared.unshared_decoder.named_parameters():
        assert torch.equal(parameter, shared.state_dict()[f"decoder.{name}"])


def test_unshared_layers_train_resume_generate_and_stay_behind(data, tmp_path):
    options = [*TEAFORN, "--teaforn-unshared", "--disable-validation"]
    whole = train(data, tmp_path / "whole", *options, "--max-update", "4")["train_inner"]
    train(data, tmp_path / "cut", *options, "--max-update", "2")
    rest = train(data, tmp_path / "cut", *options, "--max-update", "4")["train_inner"]
    assert [record["loss"] for record in rest] == [record["loss"] for record in whole[2:]]
    lines = generate(data, tmp_path / "cut/checkpoint_last.pt", "--user-dir", PLUGIN)
    assert len([line for line in lines if line.startswith("H-")]) == 13
    run(
        *("python", "-m", "teaforn_fairseq.export", tmp_path / "cut/checkpoint_last.pt"),
        tmp_path / "stock.pt",
        cwd=ROOT,
    )
    assert generate(data, tmp_path / "stock.pt") == lines  # no plugin, no further layers
