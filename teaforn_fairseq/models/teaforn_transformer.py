"""Twins of fairseq's Transformer architectures that can be unrolled.

``teaforn_<name>`` has the options, the parameters and the parameter names of ``<name>``: their
checkpoints are interchangeable. Called the stock way it runs the stock code.
"""

from argparse import Namespace
from typing import Any

from fairseq.models import (
    ARCH_CONFIG_REGISTRY,
    ARCH_MODEL_INV_REGISTRY,
    register_model,
    register_model_architecture,
)
from fairseq.models.transformer import TransformerModel
from torch import Tensor

from teaforn_fairseq.decoders.transformer import TransformerAdapter
from teaforn_fairseq.loss import LossSettings, unroll_loss
from teaforn_fairseq.twins import PREFIX
from teaforn_fairseq.unroll import UnrollSettings, step_labels, unroll


@register_model("teaforn_transformer")
class TeaForNTransformerModel(TransformerModel):
    """fairseq's Transformer, with the unroll and its loss inside ``forward``.

    They belong there because DDP and FSDP synchronise gradients only for what happens in the
    wrapped model's ``forward``.
    """

    can_unroll = True
    num_updates = 0

    def set_num_updates(self, num_updates: int) -> None:
        """Remember the number of updates, which fairseq tells before each, for schedules."""
        super().set_num_updates(num_updates)
        self.num_updates = num_updates

    @classmethod
    def build_model(cls, args: Namespace, task: Any) -> "TeaForNTransformerModel":
        """Build the model from fairseq's options.

        Raises:
            ValueError: adaptive softmax.
        """
        if getattr(args, "adaptive_softmax_cutoff", None) is not None:
            raise ValueError(
                "--adaptive-softmax-cutoff: TeaForN needs the full softmax; received"
                f" {args.adaptive_softmax_cutoff}. Leave it out, or train the stock architecture."
            )
        return super().build_model(args, task)

    @staticmethod
    def unroll_widths(args: Namespace) -> tuple[int, int]:
        """Width of the decoder's input and of its features, as the options say."""
        return int(args.decoder_embed_dim), int(args.decoder_output_dim)

    @staticmethod
    def check_free_running(args: Namespace) -> None:
        """Refuse options whose layers cannot run slot by slot in training.

        Raises:
            ValueError: LayerDrop, checkpointed activations or cross+self attention.
        """
        for option in ("decoder_layerdrop", "checkpoint_activations", "cross_self_attention"):
            if getattr(args, option, None):
                flag = option.replace("_", "-")
                raise ValueError(
                    f"--{flag}: cannot be combined with --teaforn-n full, which runs the layers"
                    f" slot by slot; received {getattr(args, option)}. Leave it out."
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
        steps = unroll(decoder, prev_output_tokens, encoder_out, unroll_settings)
        return unroll_loss(steps, labels, decoder.logits, decoder.padding_idx, loss_settings)


for _arch in tuple(ARCH_MODEL_INV_REGISTRY["transformer"]):
    register_model_architecture("teaforn_transformer", f"{PREFIX}{_arch}")(
        ARCH_CONFIG_REGISTRY[_arch]
    )
