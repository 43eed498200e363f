"""A twin's checkpoint as one of the stock architecture, which needs this plugin nowhere.

Stock fairseq on torch 2.6 and newer reads a checkpoint only if nothing but tensors and plain
containers is in it, and only if every name in its ``cfg`` is one that stock fairseq registers.
"""

import dataclasses
from collections import OrderedDict
from typing import Any

from fairseq.criterions import CRITERION_REGISTRY
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterionConfig
from fairseq.data.encoders.gpt2_bpe import GPT2BPEConfig
from fairseq.models import ARCH_MODEL_REGISTRY
from fairseq.models.bart import BARTModel
from fairseq.tasks.translation import TranslationConfig
from torch import Tensor

from teaforn_fairseq.export.twin_checkpoint import TwinCheckpoint
from teaforn_fairseq.models.twins import PREFIX

STOCK_CRITERION = "label_smoothed_cross_entropy"
STOCK_NAMES = {"teaforn_cross_entropy": STOCK_CRITERION, "teaforn_translation": "translation"}
STOCK_CONFIGS = {
    "criterion": LabelSmoothedCrossEntropyCriterionConfig,
    "task": TranslationConfig,
}
# Options without our prefix in their name: of the plugin itself, and of the teaforn_translation
# task.
OWN_OPTIONS = ("user_dir", "eval_bleu_beams", "eval_bleu_references")
# Options that name files of the machine that trained, and what stands in their place: fairseq's
# default, or a folder that hub_utils.from_pretrained replaces by the model's own. fairseq opens
# those of embeddings when it builds the model, and those of the task and of subwords when it loads
# it by that function.
PATHS: dict[str, Any] = {
    "data": ".",
    "save_dir": "checkpoints",
    "restore_file": "checkpoint_last.pt",
    "plasma_path": "/tmp/plasma",
    **dict.fromkeys(["sentencepiece_model", "sentencepiece_model_path", "bpe_codes"]),
    **dict.fromkeys(["bpe_merges", "bpe_vocab", "bpe_vocab_file"]),
    "gpt2_encoder_json": GPT2BPEConfig.gpt2_encoder_json,
    "gpt2_vocab_bpe": GPT2BPEConfig.gpt2_vocab_bpe,
    **dict.fromkeys(["encoder_embed_path", "decoder_embed_path"]),
    **dict.fromkeys(["finetune_from_model", "continue_once", "ema_seed_model"]),
    **dict.fromkeys(["log_file", "tensorboard_logdir", "aim_repo", "quantization_config_path"]),
    **dict.fromkeys(["path", "results_path", "lm_path"]),
    **dict.fromkeys(["source_dict", "target_dict", "lang_dict", "fixed_dictionary"]),
    **dict.fromkeys(["extra_data", "sampling_weights_from_file"]),
}


def stock_cfg(cfg: dict[str, Any], arch: str) -> dict[str, Any]:
    """fairseq's configuration without what only this plugin or this machine knows.

    Args:
        cfg: a twin's configuration in plain containers.
        arch: name of the stock architecture.
    """
    stock = {name: _stock_section(section) for name, section in cfg.items()}
    stock["model"] |= {"_name": arch, "arch": arch}
    stock["common"] = {**(stock.get("common") or {}), "user_dir": None}
    for section, stock_config in STOCK_CONFIGS.items():
        name = (cfg.get(section) or {}).get("_name")
        if name in STOCK_NAMES:
            known = {"_name", *(field.name for field in dataclasses.fields(stock_config))}
            stock[section] = {k: v for k, v in stock[section].items() if k in known}
    return stock


def stock_state(checkpoint: TwinCheckpoint, parameters: dict[str, Tensor]) -> dict[str, Any]:
    """The checkpoint that stock fairseq generates with, trains on and fine-tunes from.

    Args:
        checkpoint: gives everything but the parameters.
        parameters: the stock model's state dict.

    Returns:
        What ``torch.save`` shall write. There is no optimizer state, and training that goes on
        from it starts its first epoch.
    """
    cfg = stock_cfg(checkpoint.cfg, checkpoint.arch)
    criterion = (cfg.get("criterion") or {}).get("_name", STOCK_CRITERION)
    criterion_class = CRITERION_REGISTRY.get(criterion, CRITERION_REGISTRY[STOCK_CRITERION])
    return {
        "args": _as_namespace(cfg["model"]) if _reads_args(checkpoint.arch) else None,
        "cfg": cfg,
        "model": parameters,
        "criterion": None,
        "optimizer_history": [
            {
                "criterion_name": criterion_class.__name__,
                "optimizer_name": checkpoint.optimizer,
                "lr_scheduler_state": {},
                "num_updates": checkpoint.num_updates,
            }
        ],
        "task_state": {},
        "extra_state": {
            "train_iterator": {
                "version": 2,
                "epoch": 1,
                "iterations_in_epoch": 0,
                "shuffle": True,
            },
            "val_loss": None,
        },
    }


def _reads_args(arch: str) -> bool:
    """BART asks its options for ``task``, which fairseq's own reading of ``cfg`` leaves out."""
    return issubclass(ARCH_MODEL_REGISTRY[arch], BARTModel)


def _as_namespace(options: dict[str, Any]) -> OrderedDict[str, Any]:
    """What fairseq takes for an ``argparse.Namespace`` and PyTorch's safe loader for a dictionary.

    fairseq reads attributes alone, and of all classes in the safe loader's own list only this one
    has any.
    """
    namespace: OrderedDict[str, Any] = OrderedDict()
    vars(namespace).update(options)
    return namespace


def _stock_section(section: Any) -> Any:
    if not isinstance(section, dict):
        return section
    return {
        key: _stock_value(key, value)
        for key, value in section.items()
        if not key.startswith(PREFIX) and key not in OWN_OPTIONS
    }


def _stock_value(key: str, value: Any) -> Any:
    if key in PATHS:
        return PATHS[key]
    if key in ("_name", "criterion", "task") and isinstance(value, str):
        return STOCK_NAMES.get(value, value)
    return value
