"""``ahead_<i>``, how often steps 1..i are all right, against plain counting."""

import pytest
import reference
import torch
from commands import TEAFORN, train
from comparing import LOSSES, reduced
from fairseq import checkpoint_utils


def predictions(model, sample, num_steps, *, shifted):
    """The likeliest word of every step at every slot, [step][slot], and the labels, by sentence."""
    for source, target in reference.sentences(model, sample):
        steps = reference.steps(model, source, target, num_steps, shifted=shifted)
        logits = (model.decoder.output_projection(features) for features in steps)
        yield [x.argmax(-1).tolist() for x in logits], target.tolist()


def counted(best, target, *, shifted, pad, prefix=0):
    """For i = 2..N: slots at which steps 1..i are all right, and slots with all these labels."""
    counts = []
    for steps in range(2, len(best) + 1):
        hits = total = 0
        for slot in range(prefix, len(target)):
            wanted = [target[slot + shifted * step :][:1] for step in range(steps)]
            if [] in wanted or [pad] in wanted:
                continue
            total += 1
            hits += wanted == [[best[step][slot]] for step in range(steps)]
        counts.append((hits, total))
    return counts


@pytest.fixture
def varied(build):
    """A model whose steps differ in what they predict."""
    model = build()
    for layer in model.modules():
        if isinstance(layer, torch.nn.LayerNorm):
            layer.reset_parameters()
    return model


@pytest.fixture
def partly_right(batch):
    """partly_right(model, n, ...): a batch whose labels are what the steps say, here and there."""

    def make(model, num_steps, *, shifted, **options):
        sample = batch((12, 7, 3, 1, 9, 8, 11), **options)
        found = list(predictions(model, sample, num_steps, shifted=shifted))
        for row, (best, target) in zip(sample["target"], found, strict=True):
            slots = row.ne(1).nonzero().flatten().tolist()
            for slot in range(len(target)):
                step = int(torch.randint(num_steps, ()))
                row[slots[slot]] = target[slot] = best[step][max(0, slot - shifted * step)]
        return sample, found

    return make


@pytest.mark.usefixtures("wide_softmax")
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(("prefix", "left"), [(0, False), (2, False), (0, True)])
def test_counts_are_those_of_plain_code(varied, partly_right, teaforn, loss, shifted, prefix, left):
    model, options = varied, {"teaforn_loss_impl": loss, "report_accuracy": True}
    sample, found = partly_right(model, 3, shifted=shifted, left_pad_target=left)
    labels = "shifted" if shifted else "aligned"
    criterion = teaforn(3, teaforn_labels=labels, ignore_prefix_size=prefix, **options)
    log = criterion(model, sample)[2]
    each = [counted(*x, shifted=shifted, pad=1, prefix=prefix) for x in found]
    sums = torch.tensor(each).sum(0).tolist()
    assert [[int(log[f"{x}_ahead_{i}"]) for x in ("n", "total")] for i in (2, 3)] == sums
    assert 0 < sums[0][0] < log["n_correct_2"]  # step 2 is right where step 1 is not
    # An update's batches count together, not as a mean of their means.
    shorter = criterion(model, partly_right(model, 3, shifted=shifted)[0])[2]
    hits, total = (int(log[x] + shorter[x]) for x in ("n_ahead_2", "total_ahead_2"))
    shown = reduced([log, shorter])
    assert shown["ahead_2"] == pytest.approx(100 * hits / total, abs=6e-4)
    assert "ahead_1" not in shown


@pytest.mark.parametrize(
    ("options", "update", "shown"),
    [
        ({}, 1, True),
        ({"teaforn_sample_positions": 0.5}, 0, False),
        ({"teaforn_sample_positions": 0.99}, 0, False),
        ({"teaforn_every": 2}, 0, True),
        ({"teaforn_every": 2}, 1, False),
        ({"teaforn_weights": "1,0"}, 0, False),
    ],
)
def test_training_shows_it_where_all_steps_saw_all_tokens_and_validation_always(
    build, batch, teaforn, options, update, shown
):
    model, criterion = build(), teaforn(2, report_accuracy=True, **options)
    model.set_num_updates(update)
    assert ("ahead_2" in reduced([criterion(model, batch())[2]])) == shown
    model.eval()
    assert "ahead_2" in reduced([criterion(model, batch())[2]])


@pytest.mark.parametrize("n", ["1", "full"])
def test_one_pass_has_none(build, batch, teaforn, n):
    log = teaforn(n, report_accuracy=True)(build(), batch())[2]
    assert not any("ahead" in key for key in (*log, *reduced([log])))


@pytest.mark.parametrize("labels", ["aligned", "shifted"])
def test_fairseq_train_logs_what_plain_code_counts_on_its_checkpoint(
    data, learned, tmp_path, labels
):
    options = ["--teaforn-n", "3", "--teaforn-labels", labels, "--report-accuracy"]
    go_on = ["--restore-file", learned[-1], "--max-update", "127", "--max-tokens-valid", "100"]
    log = train(data, tmp_path, *TEAFORN, *options, *go_on)
    path = str(tmp_path / "checkpoint_last.pt")
    (model,), _, task = checkpoint_utils.load_model_ensemble_and_task([path])
    task.load_dataset("valid")
    valid = task.dataset("valid")
    sample = valid.collater([valid[number] for number in range(len(valid))])
    shifted, pad = labels == "shifted", task.target_dictionary.pad()
    with torch.no_grad():
        found = list(predictions(model.eval(), sample, 3, shifted=shifted))
    each = [counted(*x, shifted=shifted, pad=pad) for x in found]
    for step, (hits, total) in zip((2, 3), torch.tensor(each).sum(0).tolist(), strict=True):
        shown = float(log["valid"][-1][f"valid_ahead_{step}"])
        assert shown == pytest.approx(100 * hits / total, abs=6e-4) and shown > 0
        assert f"ahead_{step}" in log["train_inner"][-1]
