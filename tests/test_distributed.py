"""DDP and FSDP over gloo: two processes make the gradients of one on the whole batch."""

import contextlib
from argparse import Namespace

import pytest
import torch
import torch.distributed as dist
import torch.distributed.fsdp as sharding
from fairseq.distributed import ModuleProxyWrapper
from forks import CONTEXT
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.fsdp.wrap import ModuleWrapPolicy
from torch.nn.parallel import DistributedDataParallel

CLOSE = {"rtol": 1e-5, "atol": 1e-5}  # under FSDP the stock encoder attention, float32 inside
# Options of the model, then of the criterion.
WAYS = {
    "one step": ({}, {"n": 1}),
    "three steps": ({}, {"n": 3}),
    "unshared": ({"teaforn_unshared": True}, {"n": 3}),
    "recomputed": ({"teaforn_unshared": True}, {"n": 3, "teaforn_recompute": True}),
    "topk": ({}, {"n": 2, "teaforn_feedback": "topk", "teaforn_topk": 0}),
}


def native_ddp(model):
    return ModuleProxyWrapper(DistributedDataParallel(model))


def fsdp(model):
    """Every layer a unit of its own, which the unroll runs N times."""
    layers = {type(model.encoder.layers[0]), type(model.decoder.layers[0])}
    return FullyShardedDataParallel(
        model,
        auto_wrap_policy=ModuleWrapPolicy(layers),
        device_id=torch.device("cpu"),
        use_orig_params=True,
    )


def fsdp2(model):
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for layer in [*model.encoder.layers, *model.decoder.layers]:
        sharding.fully_shard(layer, mesh=mesh)
    return sharding.fully_shard(model, mesh=mesh)


WRAPPERS = [native_ddp, fsdp]
if hasattr(sharding, "fully_shard"):  # torch 2.6 and newer
    WRAPPERS.append(fsdp2)
CASES = {
    **{f"{way}-{wrap.__name__}": (*WAYS[way], wrap) for way in WAYS for wrap in WRAPPERS},
    # Not under FSDP: ranks call the layers as often as their longest targets have slots.
    "full-native_ddp": ({}, {"n": "full"}, native_ddp),
}


@pytest.mark.parametrize(("model_options", "options", "wrap"), CASES.values(), ids=CASES)
def test_two_processes_make_the_gradients_of_one(
    build, batch, teaforn, tmp_path, model_options, options, wrap
):
    model = build(share_all_embeddings=True, **model_options)
    sample = batch((5, 3, 1, 4))
    halves = [rows(sample, slice(0, 2)), rows(sample, slice(2, 4))]
    criterion = teaforn(**options, label_smoothing=0.1)
    criterion.task = None  # fairseq's tasks cannot be pickled
    job = tmp_path / "job.pt"
    torch.save((model, criterion, halves), job)
    run_ranks(one_rank, job, wrap)
    whole_loss, _, whole_log = criterion(model, sample)
    whole_loss.backward()
    ranks = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(2)]
    expected = {name: p.grad for name, p in model.named_parameters()}
    for gradients, _ in ranks:
        assert gradients.keys() == expected.keys()
        for name, gradient in gradients.items():
            # DDP and FSDP take the mean over ranks of losses that are sums.
            torch.testing.assert_close(2 * gradient, expected[name], **CLOSE, msg=name)
    steps = {key for key in whole_log if key.startswith(("nll_loss", "ntokens"))}
    for key in {"loss", *steps}:
        total = sum(torch.as_tensor(log[key]).double() for _, log in ranks)
        torch.testing.assert_close(total, torch.as_tensor(whole_log[key]).double(), **CLOSE)


def test_free_running_under_fsdp_is_refused(build, teaforn):
    model_class = type(build())
    for backend, refused in (("fully_sharded", True), ("pytorch_ddp", False)):
        expected = pytest.raises(ValueError, match="^--ddp-backend: .* received fully_sharded")
        with expected if refused else contextlib.nullcontext():
            model_class.check_plan(Namespace(ddp_backend=backend), teaforn("full").plan)


def run_ranks(work, job, wrap):
    ranks = [CONTEXT.Process(target=work, args=(rank, job, wrap)) for rank in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(60)
    assert [process.exitcode for process in ranks] == [0, 0]


def one_rank(rank, job, wrap):
    model, criterion, halves = torch.load(job, weights_only=False)
    dist.init_process_group("gloo", f"file://{job.parent}/store", rank=rank, world_size=2)
    wrapped = wrap(model)
    loss, _, log = criterion(wrapped, halves[rank])
    loss.backward()
    torch.save((whole_gradients(wrapped, model), log), job.parent / f"rank{rank}.pt")
    dist.barrier()  # none leaves while another still reads
    dist.destroy_process_group()


def whole_gradients(wrapped, model):
    sharded = isinstance(wrapped, FullyShardedDataParallel)
    gather = FullyShardedDataParallel.summon_full_params if sharded else None
    with gather(wrapped, with_grads=True) if gather else contextlib.nullcontext():
        return {
            name.replace("_fsdp_wrapped_module.", ""): full(p.grad).clone()
            for name, p in model.named_parameters()
        }


def full(gradient):
    return gradient.full_tensor() if hasattr(gradient, "full_tensor") else gradient


def rows(sample, part):
    """The part of a fairseq batch that these sentences make."""
    target = sample["target"][part]
    net_input = {key: value[part] for key, value in sample["net_input"].items()}
    ntokens = int(target.ne(1).sum())
    return {"net_input": net_input, "target": target, "ntokens": ntokens}
