"""What else a checkpoint's configuration could have fairseq load, import, write or run."""

import tarfile
from argparse import Namespace

import pytest
import torch
from fairseq import checkpoint_utils
from fairseq.data.fasta_dataset import FastaDataset
from fairseq.models.speech_to_text import xm_transformer
from fairseq.models.text_to_speech.vocoder import CodeHiFiGANVocoder
from fairseq.modules.quantization.pq.em import EM
from test_safe_loading import Program, torch_before_2_6

from teaforn_fairseq.export.twin_checkpoint import read_twin

LOADS = {
    "decoder": lambda path: xm_transformer.XMTransformerModel.build_model(
        Namespace(load_pretrained_decoder_from=path), task=None
    ),
    "centroids": lambda path: EM.load(object.__new__(EM), path.parent, layer=0),
    "vocoder": lambda path: CodeHiFiGANVocoder(path, VOCODER),
}
VOCODER = {
    "num_embeddings": 4,
    "embedding_dim": 8,
    "model_in_dim": 8,
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3, 5]],
    "upsample_rates": [2],
    "upsample_kernel_sizes": [4],
    "upsample_initial_channel": 8,
}


@pytest.mark.parametrize("load", LOADS)
def test_a_file_that_an_option_names_runs_nothing(tmp_path, monkeypatch, load):
    mark, path = tmp_path / "mark", tmp_path / "0_centroids.pth"
    torch.save({"program": Program(f"touch {mark}")}, path)
    torch_before_2_6(monkeypatch)
    with pytest.raises(ValueError, match="received a file that PyTorch's safe loader refuses"):
        LOADS[load](path)
    assert not mark.exists()


def test_a_harmless_file_that_an_option_names_loads_as_ever(tmp_path, monkeypatch):
    torch_before_2_6(monkeypatch)
    for name in ("centroids", "assignments", "objective"):
        torch.save(torch.arange(3), tmp_path / f"0_{name}.pth")
    em = object.__new__(EM)
    em.load(tmp_path, layer=0)
    assert em.centroids.tolist() == [0, 1, 2]


@pytest.fixture
def archives(tmp_path):
    """A TorchScript archive, and a tar archive."""
    torch.jit.script(torch.nn.Linear(1, 1)).save(tmp_path / "a TorchScript archive")
    with tarfile.open(tmp_path / "a tar archive", "w") as tar:
        tar.add(tmp_path / "a TorchScript archive", "storages")
    return sorted(tmp_path.iterdir())


@pytest.mark.parametrize(
    "load",
    [
        checkpoint_utils.load_checkpoint_to_cpu,
        checkpoint_utils.load_ema_from_checkpoint,
        read_twin,
        xm_transformer.torch.load,
    ],
)
def test_the_safe_loader_gets_no_archive_that_it_would_hand_on(archives, load):
    for path in archives:
        rule = "must be a checkpoint written by fairseq-train"
        with pytest.raises(ValueError, match=f"^{path}: {rule}.*: it is {path.name}, which could"):
            load(path)


def test_no_shell_reads_a_path(tmp_path):
    mark = tmp_path / "mark"
    with pytest.raises(ValueError, match="^data: a FASTA file's path must be of letters, .*; rec"):
        FastaDataset(f"x; touch {mark}; #")
    assert not mark.exists()


@pytest.fixture
def writing(trained, edited, tmp_path):
    """A checkpoint that would write to a file of the user's and to a folder, and the file."""
    file = tmp_path / "file"
    file.write_text("the user's own")

    def change(state):
        ranking = {"ranking_head_name": "x", "num_classes": 1, "save_predictions": str(file)}
        state["cfg"]["criterion"] = Namespace(_name="sentence_ranking", **ranking)
        state["cfg"]["task"]["tensorboard_logdir"] = str(tmp_path / "folder")

    yield edited(trained[0] / "checkpoint_last.pt", change), file
    assert file.read_text() == "the user's own"


def test_outputs_of_a_checkpoint_are_ignored_and_said_so(writing, task, caplog):
    path, file = writing
    cfg = checkpoint_utils.load_checkpoint_to_cpu(str(path))["cfg"]
    assert cfg.task.tensorboard_logdir is None
    task.build_criterion(cfg.criterion)  # as fairseq-validate does
    assert f"{path}: its save_predictions is ignored; received {file}" in caplog.messages


def test_outputs_that_the_user_has_set_are_his(writing):
    given = {"tensorboard_logdir": "mine"}
    cfg = checkpoint_utils.load_checkpoint_to_cpu(str(writing[0]), given)["cfg"]
    assert cfg.task.tensorboard_logdir == "mine"


def test_an_exported_checkpoint_has_no_outputs(writing):
    cfg = read_twin(writing[0]).cfg
    assert cfg["criterion"]["save_predictions"] is None
    assert "tensorboard_logdir" not in cfg["task"] or cfg["task"]["tensorboard_logdir"] is None


def test_a_checkpoints_user_dir_is_not_imported(trained, edited, tmp_path):
    folder, mark = tmp_path / "evil_user_dir", tmp_path / "mark"
    folder.mkdir()
    (folder / "__init__.py").write_text(f"open({str(mark)!r}, 'w')")

    def change(state):
        state["cfg"]["common"]["user_dir"] = str(folder)
        state["cfg"]["model"].user_dir = str(folder)

    path = edited(trained[0] / "checkpoint_last.pt", change)
    checkpoint_utils.load_model_ensemble_and_task([str(path)])
    assert not mark.exists()
