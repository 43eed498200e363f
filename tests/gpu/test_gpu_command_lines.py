"""fairseq's own commands on a GPU: each precision saves, resumes, goes on and translates; DDP."""

import random
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor

import commands
import pytest
import torch
import torch.distributed as dist
from commands import PLUGIN, TEAFORN, TRANSLATION, TWIN, log_records, values
from comparing import loss_and_gradients
from device_steps import SHARED, on_device, small
from fairseq.distributed import ModuleProxyWrapper
from torch.nn.parallel import DistributedDataParallel

PRECISIONS = {"float32": [], "fp16": ["--fp16"], "bf16": ["--bf16"], "amp": ["--amp"]}
ON_GPU = [word for word in commands.TINY if word != "--cpu"]
ON_GPU += ["--max-tokens", "100"]  # so that no epoch ends with an update that is saved
WORLD_SIZES = [1, 2]
PAIRS = {"train": 120, "valid": 10, "test": 9}
# A GPU adds some gradients up in another order each time.
AGAIN = 0.01


def run(*words):
    return commands.run(*words, process=True)  # a fork could not use the GPU


def write_corpus(folder):
    """Numbers and the same backwards, in folder/bin."""
    random.seed(3)
    words = ["one", "two", "three", "four", "five", "six", "seven"]
    for split, count in PAIRS.items():
        rows = [random.choices(words, k=random.randint(3, 9)) for _ in range(count)]
        for side, step in (("en", 1), ("de", -1)):
            text = "".join(" ".join(row[::step]) + "\n" for row in rows)
            (folder / f"{split}.{side}").write_text(text)
    prefixes = [x for split in PAIRS for x in (f"--{split}pref", folder / split)]
    pair = ("--source-lang", "en", "--target-lang", "de", "--joined-dictionary")
    run("fairseq-preprocess", *pair, *prefixes, "--destdir", folder / "bin")
    return folder / "bin"


def train(data, save_dir, *options):
    """What fairseq-train printed."""
    plugin = ["--user-dir", PLUGIN, *TWIN, *TEAFORN, "--save-dir", save_dir]
    # So small that no update is left out at the start, for it would be one of few.
    scale = ["--fp16-init-scale", "4"]
    out = run("fairseq-train", data, *plugin, *ON_GPU, *TRANSLATION, *scale, *options)
    assert "CUDA enviroments" in out, out  # fairseq says so, and spells it so
    return out


def generate(data, checkpoint, *options):
    out = run(
        *("fairseq-generate", data, "--user-dir", PLUGIN, "--path", checkpoint),
        *("--max-tokens", "800", "--required-batch-size-multiple", "1", *options),
    )
    return [line for line in out.splitlines() if line.startswith("H-")]


def save_resume_and_translate(data, folder, precision):
    """Logs of a whole run and of one resumed from its middle, and the hypotheses of the last."""
    options = [*PRECISIONS[precision], "--max-update", "6"]
    whole = train(data, folder / "whole", *options, "--save-interval-updates", "4")
    (folder / "resumed").mkdir()
    (middle,) = (folder / "whole").glob("checkpoint_*_4.pt")
    shutil.copy(middle, folder / "resumed/checkpoint_last.pt")
    resumed = train(data, folder / "resumed", *options)
    last = folder / "resumed/checkpoint_last.pt"
    half = ["--fp16"] if precision == "fp16" else []
    return whole, resumed, generate(data, last, *half)


def train_distributed(data, folder, world_size):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    ranks = ("--distributed-world-size", world_size, "--distributed-init-method", address)
    options = ["--max-update", "3", "--disable-validation"]
    return train(data, folder, *ranks, *options)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The runs of the tests below, by name; they run side by side."""
    root = tmp_path_factory.mktemp("runs")
    data = write_corpus(root)
    jobs = {precision: (save_resume_and_translate, precision) for precision in PRECISIONS}
    sizes = (size for size in WORLD_SIZES if size <= torch.cuda.device_count())
    jobs |= {size: (train_distributed, size) for size in sizes}
    with ThreadPoolExecutor(len(jobs)) as pool:
        futures = {}
        for name, (job, option) in jobs.items():
            folder = root / str(name)
            folder.mkdir()
            futures[name] = pool.submit(job, data, folder, option)
        yield futures


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_run_saves_resumes_goes_on_and_translates(runs, precision):
    whole, resumed, hypotheses = runs[precision].result()
    expected, actual = (values(log_records(x)["train_inner"]) for x in (whole, resumed))
    assert list(expected) == [str(x) for x in range(1, 7)]
    assert list(actual) == ["5", "6"]  # goes on where the other was saved
    for update, record in actual.items():
        for key in ("loss", "nll_loss", "nll_loss_1", "nll_loss_2"):
            assert float(record[key]) == pytest.approx(float(expected[update][key]), rel=AGAIN)
    assert len(hypotheses) == PAIRS["test"]


@pytest.mark.parametrize("world_size", WORLD_SIZES)
def test_distributed_training(runs, world_size):
    if torch.cuda.device_count() < world_size:
        pytest.skip(f"needs {world_size} GPUs, here is {torch.cuda.device_count()}")
    assert '"train_num_updates": "3"' in runs[world_size].result()


def test_ddp_over_nccl_makes_the_same_gradients(build, batch, teaforn, device, tmp_path):
    model, criterion = small(build, "transformer", **SHARED), teaforn(3, label_smoothing=0.1)
    sample = on_device(batch((5, 3, 1, 4)), device, model)
    model.to(device, torch.float32)
    expected, own = loss_and_gradients(model, lambda: criterion(model, sample)[0])
    dist.init_process_group("nccl", f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        wrapped = ModuleProxyWrapper(DistributedDataParallel(model, device_ids=[0]))
        loss, gradients = loss_and_gradients(wrapped, lambda: criterion(wrapped, sample)[0])
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
        for gradient, name in zip(gradients.values(), own, strict=True):
            torch.testing.assert_close(gradient, own[name], rtol=1e-4, atol=1e-5, msg=name)
    finally:
        dist.destroy_process_group()
