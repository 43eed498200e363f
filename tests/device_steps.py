"""What a training step is tried with on a device that is not the CPU, real (gpu/) or fake."""

import torch
from fairseq import utils
from fairseq.data.monolingual_dataset import collate

from teaforn_fairseq.feedbacks import FEEDBACKS

WIDE = {
    **dict.fromkeys(("encoder_embed_dim", "decoder_embed_dim"), 64),
    **dict.fromkeys(("encoder_ffn_embed_dim", "decoder_ffn_embed_dim"), 128),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
}
LEARNED = {"encoder_learned_pos": True, "decoder_learned_pos": True}
SHARED = {"share_all_embeddings": True}
CONVOLUTIONS = {
    **{"encoder_kernel_size_list": [3, 3], "decoder_kernel_size_list": [3, 3]},
    **{"weight_softmax": True, "weight_dropout": 0.0},
}
# The architecture and the options of its model.
FAMILIES = {
    "transformer": ("transformer", SHARED),
    "bart": ("bart_base", {}),
    "lm": ("transformer_lm", {"decoder_input_dim": 64, "decoder_output_dim": 64}),
    "lightconv": (
        "lightconv",
        CONVOLUTIONS | {"encoder_conv_type": "lightweight", "decoder_conv_type": "lightweight"},
    ),
    "dynamicconv": (
        "lightconv",
        CONVOLUTIONS | {"encoder_conv_type": "dynamic", "decoder_conv_type": "dynamic"},
    ),
}
RANDOM_FEEDBACKS = {"gumbel", "sample"}
# Options of the model, then of the criterion, on the Transformer.
DETERMINISTIC = {
    "one step": ({}, {"n": "1"}),
    **{
        name: ({}, {"teaforn_feedback": name})
        for name in sorted(FEEDBACKS.keys() - RANDOM_FEEDBACKS)
    },
    "topk of all": ({}, {"teaforn_feedback": "topk", "teaforn_topk": 0}),
    "detached": ({}, {"teaforn_detach": True}),
    "plain loss": ({}, {"teaforn_loss_impl": "plain"}),
    "shifted": ({}, {"teaforn_labels": "shifted"}),
    "prefix": ({}, {"ignore_prefix_size": 2, "teaforn_labels": "shifted"}),
    "recomputed": ({}, {"teaforn_recompute": True}),
    "unshared": ({"teaforn_unshared": True}, {}),
    "full": ({}, {"n": "full"}),
    "full, argmax": ({}, {"n": "full", "teaforn_feedback": "argmax"}),
    "stock layers": ({"scale_fc": True}, {}),
    "own embeddings": ({"share_all_embeddings": False}, {}),
    "accuracy": ({}, {"report_accuracy": True}),
}
RANDOM = {
    **{name: ({}, {"teaforn_feedback": name}) for name in sorted(RANDOM_FEEDBACKS)},
    "gumbel, hard": ({}, {"teaforn_feedback": "gumbel", "teaforn_hard": True}),
    "mix": ({}, {"teaforn_mix": "0.5"}),
    "mix, shifted": ({}, {"teaforn_mix": "0.5", "teaforn_labels": "shifted"}),
    "sampled positions": ({}, {"teaforn_sample_positions": 0.5}),
    "dropout": (dict.fromkeys(("dropout", "attention_dropout", "activation_dropout"), 0.1), {}),
    "full, mix": ({}, {"n": "full", "teaforn_mix": "0.5"}),
}
LENGTHS = (9, 5, 3, 7, 8, 6)
PROMPT_END = "i"  # a word of the small dictionary


def _cases(settings):
    arch, usual = FAMILIES["transformer"]
    return {
        name: (arch, usual | own, {"n": "3", "label_smoothing": 0.1} | options)
        for name, (own, options) in settings.items()
    }


def _family_cases():
    ways = {"": {"n": "3"}, ", shifted": {"n": "3", "teaforn_labels": "shifted"}}
    ways[", full"] = {"n": "full"}
    cases = {
        f"{family}{way}": (arch, own, {"label_smoothing": 0.1} | options)
        for family, (arch, own) in FAMILIES.items()
        for way, options in ways.items()
    }
    prompt = {"label_smoothing": 0.1, "teaforn_prompt_end": PROMPT_END}
    return cases | {
        f"lm, prompts{way}": (*FAMILIES["lm"], prompt | options) for way, options in ways.items()
    }


# By name: architecture, options of the model, options of the criterion.
DETERMINISTIC_CASES = _cases(DETERMINISTIC) | _family_cases()
RANDOM_CASES = _cases(RANDOM)
CASES = DETERMINISTIC_CASES | RANDOM_CASES


def sample_for(arch, task, batch):
    """A padded batch of the architecture's task, on the CPU."""
    if arch != "transformer_lm":
        return batch(LENGTHS)
    dictionary = task.source_dictionary
    samples = []
    for number, length in enumerate(LENGTHS):
        words = torch.randint(dictionary.nspecial, len(dictionary), (length + 1,))
        words[2] = dictionary.index(PROMPT_END)
        samples.append({"id": number, "source": words[:-1], "target": words[1:].clone()})
    return collate(samples, dictionary.pad(), dictionary.eos())


def on_device(sample, device, *noting):
    """The batch as fairseq's trainer sends it, counted by model and criterion before."""
    sample = dict(sample)
    for part in noting:
        for note in ("note_slots", "note_labels"):
            getattr(part, note, lambda sample: None)(sample)
    return utils.apply_to_sample(lambda x: x.to(device), sample)


def small(build, arch, prefix="teaforn_", **options):
    """A model in float64, its parameters of a usual size, so that half precision is a fair one."""
    model = build(f"{prefix}{arch}", **{**WIDE, **options})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model
