"""Native DDP over gloo: two processes make the gradients of one on the whole batch."""

import pytest
import torch
import torch.distributed as dist
from fairseq.distributed import ModuleProxyWrapper
from torch.nn.parallel import DistributedDataParallel


@pytest.mark.parametrize("n", [1, 3])
def test_two_processes_make_the_gradients_of_one(build, batch, teaforn, tmp_path, n):
    model, sample = build(share_all_embeddings=True), batch((5, 3, 1, 4))
    halves = [rows(sample, slice(0, 2)), rows(sample, slice(2, 4))]
    criterion = teaforn(n, label_smoothing=0.1)
    criterion.task = None  # fairseq's tasks cannot be pickled
    whole_loss, _, whole_log = criterion(model, sample)
    torch.multiprocessing.spawn(one_rank, (model, criterion, halves, tmp_path), nprocs=2)
    whole_loss.backward()
    ranks = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(2)]
    for name, parameter in model.named_parameters():
        for gradients, _ in ranks:
            # DDP takes the mean over ranks of losses that are sums.
            torch.testing.assert_close(2 * gradients[name], parameter.grad, rtol=1e-5, atol=1e-5)
    for key in ("loss", "nll_loss", f"nll_loss_{n}"):
        torch.testing.assert_close(
            sum(log[key] for _, log in ranks).double(),
            whole_log[key].double(),
            rtol=1e-5,
            atol=1e-5,
        )


def one_rank(rank, model, criterion, halves, folder):
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    wrapped = ModuleProxyWrapper(DistributedDataParallel(model))
    loss, _, log = criterion(wrapped, halves[rank])
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    torch.save((gradients, log), folder / f"rank{rank}.pt")
    dist.destroy_process_group()


def rows(sample, part):
    """The part of a fairseq batch that these sentences make."""
    target = sample["target"][part]
    net_input = {key: value[part] for key, value in sample["net_input"].items()}
    ntokens = int(target.ne(1).sum())
    return {"net_input": net_input, "target": target, "ntokens": ntokens}
