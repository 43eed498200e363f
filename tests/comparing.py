"""What the tests hold against one another: losses, gradients, draws, logged values."""

import torch
from fairseq.logging import metrics

from teaforn_fairseq.criterions.teaforn_cross_entropy import TeaForNCrossEntropyCriterion

LOSSES = ("fused", "plain")  # --teaforn-loss-impl
CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def gradients(model):
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def loss_and_gradients(model, compute):
    model.zero_grad()
    loss = compute()
    (3.0 * loss).backward()  # the incoming gradient is not one
    return loss.detach(), gradients(model)


def assert_same(actual, expected):
    torch.testing.assert_close(actual[0], expected[0], **CLOSE)
    assert actual[1].keys() == expected[1].keys()
    for name, gradient in expected[1].items():
        torch.testing.assert_close(
            actual[1][name], gradient, msg=lambda m, n=name: f"{n}: {m}", **CLOSE
        )


def replayed(compute):
    """compute() from the same state of the random generator each time."""
    torch.manual_seed(5)
    return compute()


def reduced(logs):
    """What fairseq shows of the batches' logs of an update."""
    with metrics.aggregate(new_root=True) as aggregate:
        TeaForNCrossEntropyCriterion.reduce_metrics(logs)
    return aggregate.get_smoothed_values()
