"""Twins of fairseq's Transformer architectures that can be unrolled.

``teaforn_<name>`` has the options, the parameters and the parameter names of ``<name>``: their
checkpoints are interchangeable. Called the stock way it runs the stock code.
"""

from argparse import ArgumentParser, Namespace
from typing import Any

from fairseq.models import (
    ARCH_CONFIG_REGISTRY,
    ARCH_MODEL_INV_REGISTRY,
    register_model,
    register_model_architecture,
)
from fairseq.models.transformer import TransformerModel
from omegaconf import DictConfig
from torch import Tensor

from teaforn_fairseq import hydra_options
from teaforn_fairseq.decoders.transformer import OwnLayers, TransformerAdapter
from teaforn_fairseq.loss import LossSettings, unroll_loss
from teaforn_fairseq.plan import UnrollPlan
from teaforn_fairseq.twins import PREFIX, UNSHARED_PREFIX
from teaforn_fairseq.unroll import UnrollSettings, step_labels, unroll

SLOT_BY_SLOT_REFUSES = ["decoder_layerdrop", "checkpoint_activations", "cross_self_attention"]
SLOT_BY_SLOT_REFUSES += ["teaforn_unshared"]


@register_model("teaforn_transformer")
class TeaForNTransformerModel(TransformerModel):
    """fairseq's Transformer, with the unroll and its loss inside ``forward``.

    They belong there because DDP and FSDP synchronise gradients only for what happens in the
    wrapped model's ``forward``.
    """

    can_unroll = True
    num_updates = 0

    def __init__(self, args: Namespace, encoder: Any, decoder: Any):
        super().__init__(args, encoder, decoder)
        unshared = getattr(args, "teaforn_unshared", False)
        self.unshared_decoder = OwnLayers(decoder) if unshared else None

    @classmethod
    def add_args(cls, parser: ArgumentParser) -> None:
        """The stock options, and our own."""
        super().add_args(parser)
        parser.add_argument(
            "--teaforn-unshared",
            action="store_true",
            help="give unroll steps 2..N layers and a final norm of their own, which start as"
            " copies of the first step's; decoding uses the first step's alone",
        )

    def set_num_updates(self, num_updates: int) -> None:
        """Remember the number of updates, which fairseq tells before each, for schedules."""
        super().set_num_updates(num_updates)
        self.num_updates = num_updates

    @classmethod
    def build_model(cls, args: Namespace | DictConfig, task: Any) -> "TeaForNTransformerModel":
        """Build the model from fairseq's options.

        Raises:
            ValueError: adaptive softmax, or in a YAML configuration an option that the model does
                not have.
        """
        args = hydra_options.as_namespace(args, cls, task)
        if getattr(args, "adaptive_softmax_cutoff", None) is not None:
            raise ValueError(
                "--adaptive-softmax-cutoff: TeaForN needs the full softmax; received"
                f" {args.adaptive_softmax_cutoff}. Leave it out, or train the stock architecture."
            )
        return super().build_model(args, task)

    def upgrade_state_dict_named(self, state_dict: dict[str, Tensor], name: str) -> None:
        """Let a checkpoint of shared or stock layers start the unshared ones as well."""
        super().upgrade_state_dict_named(state_dict, name)
        if self.unshared_decoder is None or any(
            key.startswith(UNSHARED_PREFIX) for key in state_dict
        ):
            return
        for key in self.unshared_decoder.state_dict():
            state_dict[f"{UNSHARED_PREFIX}{key}"] = state_dict[f"decoder.{key}"]

    @staticmethod
    def unroll_widths(args: Namespace) -> tuple[int, int]:
        """Width of the decoder's input and of its features, as the options say."""
        return int(args.decoder_embed_dim), int(args.decoder_output_dim)

    @staticmethod
    def check_plan(args: Namespace, plan: UnrollPlan) -> None:
        """Refuse options of the model that the planned unroll cannot use.

        Raises:
            ValueError: with free running LayerDrop, checkpointed activations, cross+self attention
                or unshared layers; with one step throughout unshared layers.
        """
        for option in SLOT_BY_SLOT_REFUSES if plan.free_running else ():
            if getattr(args, option, None):
                raise ValueError(
                    f"--{option.replace('_', '-')}: cannot be combined with --teaforn-n full, which"
                    f" runs one set of layers slot by slot; received {getattr(args, option)}."
                    " Leave it out."
                )
        if getattr(args, "teaforn_unshared", False) and plan.max_steps == 1:
            raise ValueError(
                "--teaforn-unshared: needs unroll steps to serve, so --teaforn-n must be at least"
                " 2; received 1. Leave it out, or raise --teaforn-n."
            )

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor,
        prev_output_tokens: Tensor,
        *stock_args: Any,
        unroll_settings: UnrollSettings | None = None,
        loss_settings: LossSettings | None = None,
        target: Tensor | None = None,
        **stock_kwargs: Any,
    ) -> Any:
        """Stock forward pass, or the loss of an unroll when ``unroll_settings`` are given.

        Args:
            src_tokens: (B, S) source token ids.
            src_lengths: (B,) source lengths.
            prev_output_tokens: (B, T) decoder input w_0..w_{T-1}.
            unroll_settings: how to unroll; None runs the stock code.
            loss_settings: weights and options of the loss, read only with ``unroll_settings``.
            target: (B, T) labels y_1..y_T, read only with ``unroll_settings``.

        Returns:
            The stock output, or the dictionary of :func:`teaforn_fairseq.loss.unroll_loss`.
        """
        if unroll_settings is None:
            return super().forward(
                src_tokens, src_lengths, prev_output_tokens, *stock_args, **stock_kwargs
            )
        encoder_out = self.encoder(src_tokens, src_lengths=src_lengths)
        decoder = TransformerAdapter(self.decoder)
        labels = step_labels(
            target, unroll_settings.num_steps, unroll_settings.shifted, decoder.padding_idx
        )
        further = TransformerAdapter(self.decoder, self.unshared_decoder)
        steps = unroll(decoder, prev_output_tokens, encoder_out, unroll_settings, further)
        return unroll_loss(steps, labels, decoder.logits, decoder.padding_idx, loss_settings)


for _arch in tuple(ARCH_MODEL_INV_REGISTRY["transformer"]):
    register_model_architecture("teaforn_transformer", f"{PREFIX}{_arch}")(
        ARCH_CONFIG_REGISTRY[_arch]
    )
