"""Twins of fairseq's Transformer architectures that can be unrolled.

``teaforn_<name>`` has the options, the parameters and the parameter names of ``<name>``: their
checkpoints are interchangeable. Called the stock way it runs the stock code.
"""

from argparse import Namespace
from functools import partial
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

from teaforn_fairseq import feedback, hydra_options, transformer_decoder
from teaforn_fairseq.loss import UnrollSettings, unroll_loss
from teaforn_fairseq.twins import PREFIX
from teaforn_fairseq.unroll import first_slots, unroll


@register_model("teaforn_transformer")
class TeaForNTransformerModel(TransformerModel):
    """fairseq's Transformer, with the unroll and its loss inside ``forward``.

    They belong there because DDP and FSDP synchronise gradients only for what happens in the
    wrapped model's ``forward``.
    """

    can_unroll = True

    @classmethod
    def build_model(cls, args: Namespace | DictConfig, task: Any) -> "TeaForNTransformerModel":
        """Build the model from fairseq's options.

        Raises:
            ValueError: adaptive softmax, output and input widths that differ, or in a YAML
                configuration an option that the model does not have.
        """
        args = hydra_options.as_namespace(args, cls, task)
        if getattr(args, "adaptive_softmax_cutoff", None) is not None:
            raise ValueError(
                "--adaptive-softmax-cutoff: TeaForN needs the full softmax; received"
                f" {args.adaptive_softmax_cutoff}. Leave it out, or train the stock architecture."
            )
        model = super().build_model(args, task)
        feedback.check_hidden(model.decoder.embed_dim, model.decoder.output_embed_dim)
        return model

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor,
        prev_output_tokens: Tensor,
        *stock_args: Any,
        teaforn: UnrollSettings | None = None,
        target: Tensor | None = None,
        **stock_kwargs: Any,
    ) -> Any:
        """Stock forward pass, or the loss of an unroll when ``teaforn`` is given.

        Args:
            src_tokens: (B, S) source token ids.
            src_lengths: (B,) source lengths.
            prev_output_tokens: (B, T) decoder input w_0..w_{T-1}.
            teaforn: weights and loss options of the unroll; None runs the stock code.
            target: (B, T) labels y_1..y_T, read only with ``teaforn``.

        Returns:
            The stock output, or the dictionary of :func:`teaforn_fairseq.loss.unroll_loss`.
        """
        if teaforn is None:
            return super().forward(
                src_tokens, src_lengths, prev_output_tokens, *stock_args, **stock_kwargs
            )
        encoder_out = self.encoder(src_tokens, src_lengths=src_lengths)
        return self._unroll_loss(prev_output_tokens, encoder_out, target, teaforn)

    def _unroll_loss(
        self,
        prev_output_tokens: Tensor,
        encoder_out: transformer_decoder.EncoderOut,
        target: Tensor,
        settings: UnrollSettings,
    ) -> dict[str, Tensor]:
        decoder = self.decoder
        steps = unroll(
            partial(
                transformer_decoder.body,
                decoder,
                prev_output_tokens=prev_output_tokens,
                encoder_out=encoder_out,
            ),
            transformer_decoder.embed(decoder, prev_output_tokens),
            first_slots(prev_output_tokens, decoder.padding_idx),
            num_steps=len(settings.weights),
            feedback=feedback.hidden,
        )
        return unroll_loss(steps, target, decoder.output_layer, decoder.padding_idx, settings)


for _arch in tuple(ARCH_MODEL_INV_REGISTRY["transformer"]):
    register_model_architecture("teaforn_transformer", f"{PREFIX}{_arch}")(
        ARCH_CONFIG_REGISTRY[_arch]
    )
