"""Sampled positions and occasional steps estimate the full gradient without bias."""

import torch
from comparing import assert_same, loss_and_gradients


def test_the_mean_over_all_draws_of_positions_is_the_full_gradient(
    build, batch, teaforn, monkeypatch
):
    model, sample = build(share_all_embeddings=True), batch((3, 2))
    whole = loss_and_gradients(model, lambda: teaforn(3)(model, sample)[0])
    draws = list(torch.combinations(torch.arange(5), 2))
    drawn = iter([draw for first in draws for second in draws for draw in (first, second)])
    monkeypatch.setattr(torch, "randperm", lambda *args, **kwargs: next(drawn))
    criterion = teaforn(3, teaforn_sample_positions=0.4)

    def mean():
        losses = [criterion(model, sample)[0] for _ in range(len(draws) ** 2)]
        return torch.stack(losses).mean()

    assert_same(loss_and_gradients(model, mean), whole)


def test_sampled_positions_log_the_mean_of_what_was_drawn(build, batch, teaforn):
    model, sample = build(), batch((6, 4))
    criterion = teaforn(2, teaforn_sample_positions=0.5, report_accuracy=True)
    log = criterion(model, sample)[2]
    assert [int(log[f"{key}_{step}"]) for key in ("ntokens", "total") for step in (1, 2)] == [
        *(10, 5),
        *(10, 5),
    ]
    model.eval()  # validation is whole
    assert criterion(model, sample)[2]["ntokens_2"] == 10


def test_every_third_update_three_times_as_heavy_has_the_same_mean(build, batch, teaforn):
    model, sample = build(share_all_embeddings=True), batch((4, 3))
    whole = loss_and_gradients(model, lambda: teaforn(3)(model, sample)[0])
    criterion, widths = teaforn(3, teaforn_every=3), []

    def mean():
        losses = []
        for update in range(3):
            model.set_num_updates(update)
            loss, _, log = criterion(model, sample)
            losses.append(loss)
            widths.append([int(log[f"ntokens_{step}"]) for step in (1, 2, 3)])
        return torch.stack(losses).mean()

    assert_same(loss_and_gradients(model, mean), whole)
    assert widths == [[7, 7, 7], [7, 0, 0], [7, 0, 0]]
    model.eval()
    assert criterion(model, sample)[2]["ntokens_3"] == 7
