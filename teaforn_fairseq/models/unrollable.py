"""What a twin adds to its stock model, whatever the family.

``teaforn_<name>`` has the options, the parameters and the parameter names of ``<name>``: their
checkpoints are interchangeable. Called the stock way it runs the stock code.
B batch, S source length, T target length.
"""

import logging
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from fairseq.models.transformer import TransformerEncoderBase
from omegaconf import DictConfig
from torch import Tensor

from teaforn_fairseq.decoders.base import DecoderAdapter, OwnLayers
from teaforn_fairseq.decoders.transformer import TransformerAdapter
from teaforn_fairseq.loss.steps_loss import LossSettings, unroll_loss
from teaforn_fairseq.models import hydra_options
from teaforn_fairseq.models.twins import UNSHARED_PREFIX
from teaforn_fairseq.packed.encoder import Memory, encode
from teaforn_fairseq.packed.slots import Slots
from teaforn_fairseq.unroll.plan import UnrollPlan
from teaforn_fairseq.unroll.steps import UnrollSettings, free_run, step_labels, unroll

logger = logging.getLogger(__name__)

SLOT_BY_SLOT_REFUSES = ["decoder_layerdrop", "checkpoint_activations", "cross_self_attention"]
SLOT_BY_SLOT_REFUSES += ["teaforn_unshared"]
UNSHARED_HELP = (
    "give unroll steps 2..N layers and a final norm of their own, which start as copies of the"
    " first step's; decoding uses the first step's alone"
)


class Unrollable:
    """The unroll and its loss inside ``forward``, to be inherited before a stock model.

    They belong there because DDP and FSDP synchronise gradients only for what happens in the
    wrapped model's ``forward``.

    Attributes:
        adapter_class: how the unroll sees the model's decoder.
        needs: options that cannot be unrolled, and what the unroll needs in their place.
    """

    can_unroll = True
    num_updates = 0
    adapter_class: ClassVar[type[DecoderAdapter]] = TransformerAdapter
    needs: ClassVar[dict[str, str]] = {"adaptive_softmax_cutoff": "the full softmax"}

    @classmethod
    def add_args(cls, parser: ArgumentParser) -> None:
        """The stock options, and our own."""
        super().add_args(parser)
        if not _has_dataclass(cls):
            parser.add_argument("--teaforn-unshared", action="store_true", help=UNSHARED_HELP)

    @classmethod
    def build_model(cls, args: Namespace | DictConfig, task: Any) -> "Unrollable":
        """Build the model from fairseq's options.

        Raises:
            ValueError: adaptive softmax, an input that is no embedding table, or in a YAML
                configuration an option that the model does not have.
        """
        if not _has_dataclass(cls):
            args = hydra_options.as_namespace(args, cls, task)
        for option, need in cls.needs.items():
            if getattr(args, option, None):
                raise ValueError(
                    f"--{option.replace('_', '-')}: TeaForN needs {need}; received"
                    f" {getattr(args, option)}. Choose an architecture without it and leave it out,"
                    " or train the stock architecture."
                )
        model = super().build_model(args, task)
        unshared = getattr(args, "teaforn_unshared", False)
        model.unshared_decoder = OwnLayers(model.decoder) if unshared else None
        return model

    def set_num_updates(self, num_updates: int) -> None:
        """Remember the number of updates, which fairseq tells before each, for schedules."""
        super().set_num_updates(num_updates)
        self.num_updates = num_updates

    def upgrade_state_dict_named(self, state_dict: dict[str, Tensor], name: str) -> None:
        """Let checkpoints of shared, unshared and stock layers start one another.

        Unshared layers that the checkpoint lacks start as copies of the first step's; those that
        only the checkpoint has are left out, with a line in the log.
        """
        super().upgrade_state_dict_named(state_dict, name)
        given = [key for key in state_dict if key.startswith(UNSHARED_PREFIX)]
        self.loaded_other_layers = bool(given) != (self.unshared_decoder is not None)
        if self.unshared_decoder is None:
            for key in given:
                del state_dict[key]
            if given:
                logger.info(
                    f"left out {len(given)} parameters of the checkpoint's unshared layers"
                    f" ({UNSHARED_PREFIX}*), which only unroll steps 2..N used: this model's steps"
                    " share the first one's layers"
                )
        elif not given:
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
                or unshared layers, or FSDP; with one step throughout unshared layers.
        """
        for option in SLOT_BY_SLOT_REFUSES if plan.free_running else ():
            if getattr(args, option, None):
                raise ValueError(
                    f"--{option.replace('_', '-')}: cannot be combined with --teaforn-n full, which"
                    f" runs one set of layers slot by slot; received {getattr(args, option)}."
                    " Leave it out."
                )
        if plan.free_running and getattr(args, "ddp_backend", None) == "fully_sharded":
            raise ValueError(
                "--ddp-backend: --teaforn-n full calls the layers once a target slot, so not"
                " equally often on every rank, which FSDP needs; received fully_sharded. Use"
                " --ddp-backend pytorch_ddp."
            )
        if getattr(args, "teaforn_unshared", False) and plan.max_steps == 1:
            raise ValueError(
                "--teaforn-unshared: needs unroll steps to serve, so --teaforn-n must be at least"
                " 2; received 1. Leave it out, or raise --teaforn-n."
            )

    def forward(
        self,
        *stock_args: Any,
        unroll_settings: UnrollSettings | None = None,
        loss_settings: LossSettings | None = None,
        target: Tensor | None = None,
        num_tokens: int | None = None,
        **stock_kwargs: Any,
    ) -> Any:
        """Stock forward pass, or the loss of an unroll when ``unroll_settings`` are given.

        Args:
            stock_args: what the stock model takes, or with ``unroll_settings`` what
                :meth:`read` takes after the first: the ``net_input`` of a batch.
            unroll_settings: how to unroll; None runs the stock code.
            loss_settings: weights and options of the loss, read only with ``unroll_settings``.
            target: (B, T) labels y_1..y_T, read only with ``unroll_settings``.
            num_tokens: fairseq's ``ntokens`` of the batch; where it is not given a GPU is waited
                for.
            stock_kwargs: as ``stock_args``, by name.

        Returns:
            The stock output, or the dictionary of ``loss.steps_loss.unroll_loss``, the entries per
            token being (B * T, 1).
        """
        if unroll_settings is None:
            return super().forward(*stock_args, **stock_kwargs)
        decoder = self.adapter_class(self.decoder)
        tokens, gold, memory = self.read(decoder, *stock_args, **stock_kwargs)
        slots = Slots.of(tokens, decoder.padding_idx, num_tokens)
        if unroll_settings.free_running:
            encoder_out = memory and memory.encoder_out
            whole = free_run(decoder, tokens, gold, encoder_out, unroll_settings)
            steps = [slots.pack(whole)]
        else:
            batch, further = decoder.prepare(slots, memory), None
            if self.unshared_decoder is not None and unroll_settings.num_steps > 1:
                other = self.adapter_class(self.decoder, self.unshared_decoder)
                further = other, other.prepare(slots, memory)
            steps = unroll(decoder, tokens, gold, batch, slots, unroll_settings, further)
        return self._loss(steps, target, slots, decoder, unroll_settings, loss_settings)

    def _loss(
        self,
        steps: Iterable[Tensor],
        target: Tensor,
        slots: Slots,
        decoder: DecoderAdapter,
        unroll_settings: UnrollSettings,
        settings: LossSettings,
    ) -> dict[str, Tensor]:
        pad = decoder.padding_idx
        labels = step_labels(target, unroll_settings.num_steps, unroll_settings.shifted, pad)
        ignored = None
        if settings.ignore_prefix_size > 0:
            columns = torch.arange(target.size(1), device=target.device)
            ignored = slots.pack((columns < settings.ignore_prefix_size).expand_as(target))
        bias = self.decoder.output_projection.bias
        result = unroll_loss(
            steps,
            [slots.pack(label) for label in labels],
            ignored,
            (decoder.projection, bias),
            pad,
            settings,
        )
        if not settings.reduce:
            result["loss"] = slots.unpack(result["loss"]).view(-1, 1)
            result["nll_loss"] = torch.stack(
                [slots.unpack(x).view(-1, 1) for x in result["nll_loss"]]
            )
        return result

    def read(
        self,
        decoder: DecoderAdapter,
        src_tokens: Tensor,
        src_lengths: Tensor,
        prev_output_tokens: Tensor,
    ) -> tuple[Tensor, Tensor, Memory | None]:
        """What the unroll starts from; here that of a model with an encoder.

        Args:
            decoder: the adapter of this model's decoder, which is told the table to project by.
            src_tokens: (B, S) source token ids.
            src_lengths: (B,) source lengths.
            prev_output_tokens: (B, T) decoder input w_0..w_{T-1}.

        Returns:
            (B, T) decoder input, (B, T, C) its embeddings, and the encoder's output.
        """
        shares = (
            isinstance(self.encoder, TransformerEncoderBase)
            and self.encoder.embed_tokens is self.decoder.embed_tokens
        )
        streams = [prev_output_tokens, src_tokens] if shares else [prev_output_tokens]
        rows, *source_rows = decoder.look_up(*streams)
        memory = encode(self.encoder, src_tokens, src_lengths, *source_rows)
        return prev_output_tokens, decoder.dress(rows), memory


def _has_dataclass(model: type[Unrollable]) -> bool:
    """Whether fairseq knows the model's options from a dataclass, which then lists ours as well."""
    return getattr(model, "__dataclass", None) is not None
