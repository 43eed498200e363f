"""What a twin adds to its stock model, whatever the family.

``teaforn_<name>`` has the options, the parameters and the parameter names of ``<name>``: their
checkpoints are interchangeable. Called the stock way it runs the stock code.
B batch, S source length, T target length.
"""

import logging
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

import torch
from fairseq.models.transformer import TransformerEncoderBase
from omegaconf import DictConfig
from torch import Tensor, nn

from teaforn_fairseq.decoders.base import UNSHARED_PREFIX, DecoderAdapter, OwnLayers
from teaforn_fairseq.decoders.transformer import TransformerAdapter
from teaforn_fairseq.decoders.vocabulary import Vocabulary, look_up
from teaforn_fairseq.loss.steps_loss import Labels, LossSettings, StepsLoss
from teaforn_fairseq.models import hydra_options
from teaforn_fairseq.packed.encoder import EncoderOutput, encode
from teaforn_fairseq.packed.packing import Packing, target_slots
from teaforn_fairseq.unroll.plan import UnrollPlan
from teaforn_fairseq.unroll.prompt import PromptSizes, behind_prompt
from teaforn_fairseq.unroll.steps import Start, UnrollSettings, free_run, unroll

logger = logging.getLogger(__name__)
NUM_SLOTS = "num_slots"
SLOT_BY_SLOT_REFUSES = ["decoder_layerdrop", "checkpoint_activations", "cross_self_attention"]
SLOT_BY_SLOT_REFUSES += ["teaforn_unshared"]
UNSHARED_HELP = (
    "give unroll steps 2..N layers and a final norm of their own, which start as copies of the"
    " first step's; decoding uses the first step's alone"
)


class Unrolled(NamedTuple):
    """An unroll, and what is needed to judge it.

    Attributes:
        steps: N tensors (n, C_out), the features h^(1)..h^(N), made one by one as they are taken.
        labels: what they are to predict.
        packing: where the n target tokens stand, without the prompts that went through once.
        vocabulary: E and W.
    """

    steps: Iterable[Tensor]
    labels: Labels
    packing: Packing
    vocabulary: Vocabulary


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
        if not hydra_options.has_dataclass(cls):
            parser.add_argument("--teaforn-unshared", action="store_true", help=UNSHARED_HELP)

    @classmethod
    def build_model(cls, args: Namespace | DictConfig, task: Any) -> "Unrollable":
        """Build the model from fairseq's options.

        Raises:
            ValueError: adaptive softmax, an input that is no embedding table, or in a YAML
                configuration an option that the model does not have.
        """
        if not hydra_options.has_dataclass(cls):
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

    def __prepare_scriptable__(self) -> nn.Module:
        """The stock model over the same parameters, which is what ``torch.jit.script`` compiles.

        TorchScript knows neither catch-all arguments nor ``super()``; decoding needs the stock
        code alone.
        """
        family = type(self).__mro__
        stock = object.__new__(family[family.index(Unrollable) + 1])
        stock.__dict__ = self.__dict__ | {"_modules": dict(self._modules)}
        for members in (stock.__dict__, stock._modules):
            members.pop(UNSHARED_PREFIX.rstrip("."), None)
        return stock

    def note_slots(self, sample: dict[str, Any]) -> None:
        """Note the number of slots in a batch that is still on the CPU, for ``num_tokens``.

        A batch with a padding symbol inside a sentence gets none: it is counted when it is run.

        Args:
            sample: a batch of fairseq's; gets an entry ``num_slots``.
        """
        net_input, target = sample["net_input"], sample.get("target")
        tokens = net_input.get("prev_output_tokens", net_input["src_tokens"])
        if not torch.is_tensor(target) or target.shape != tokens.shape or not tokens.is_cpu:
            return
        pad = self.decoder.embed_tokens.padding_idx
        slots = target_slots(tokens, target, pad)
        if not (slots & tokens.eq(pad)).any():
            sample[NUM_SLOTS] = int(slots.sum())

    def forward(
        self,
        *stock_args: Any,
        unroll_settings: UnrollSettings | None = None,
        loss_settings: LossSettings | None = None,
        target: Tensor | None = None,
        num_tokens: int | None = None,
        prompt_sizes: PromptSizes | None = None,
        **stock_kwargs: Any,
    ) -> Any:
        """Stock forward pass, or the loss of an unroll when ``unroll_settings`` are given.

        Args:
            stock_args: what the stock model takes, or with ``unroll_settings`` what
                :meth:`read` takes after the first: the ``net_input`` of a batch.
            unroll_settings: how to unroll; None runs the stock code.
            loss_settings: weights and options of the loss, read only with ``unroll_settings``.
            target: (B, T) labels y_1..y_T, read only with ``unroll_settings``.
            num_tokens: what :meth:`note_slots` counted; where it is not given they are counted
                here, for which a GPU is waited for.
            prompt_sizes: the same of prompts, as ``criterions.prompt`` notes them.
            stock_kwargs: as ``stock_args``, by name.

        Returns:
            The stock output, or the dictionary of ``loss.steps_loss.StepsLoss``.

        Raises:
            ValueError: ``unroll_settings`` without labels or without ``loss_settings``.
        """
        if unroll_settings is None:
            return super().forward(*stock_args, **stock_kwargs)
        if target is None or loss_settings is None:
            raise ValueError("unroll_settings: must come with target and loss_settings; give both.")
        own = {"settings": unroll_settings, "target": target}
        own |= {"num_tokens": num_tokens, "prompt_sizes": prompt_sizes}
        steps, labels, packing, vocabulary = self.unrolled(*stock_args, **own, **stock_kwargs)
        pad = self.decoder.embed_tokens.padding_idx
        return StepsLoss(vocabulary.projection, pad, loss_settings)(steps, labels, packing)

    def unrolled(
        self,
        *stock_args: Any,
        settings: UnrollSettings,
        target: Tensor,
        num_tokens: int | None = None,
        prompt_sizes: PromptSizes | None = None,
        **stock_kwargs: Any,
    ) -> Unrolled:
        """The unroll alone; the arguments are those of :meth:`forward`.

        Training calls :meth:`forward`, as a wrapper for DDP or FSDP sees that alone.
        """
        decoder = self.adapter_class(self.decoder)
        tokens, rows, vocabulary, encoder_output = self.read(*stock_args, **stock_kwargs)
        pad = self.decoder.embed_tokens.padding_idx
        packing = Packing.of(target_slots(tokens, target, pad), num_tokens)
        padded = num_tokens is None and bool(packing.pack(tokens).eq(pad).any())
        places = decoder.places(tokens, packing, padded=padded)
        prefix = settings.prefix
        given, labels = prefix.slots(target, packing), prefix.labels(target)
        start = Start(packing, packing.pack(vocabulary.dress(rows)), places, vocabulary, given)
        keeps = settings.keeps_prompts and decoder.takes_prompts
        if keeps and labels is not None and not (padded or encoder_output):
            start = behind_prompt(start, labels, prompt_sizes)
        steps = self._steps(decoder, start, encoder_output, settings)
        counted = prefix.counting(target, pad)
        ignored = labels if counted is target else None  # padding is anyway
        return Unrolled(
            steps, Labels(counted, settings.shifted, ignored), start.packing, vocabulary
        )

    def _steps(
        self,
        decoder: DecoderAdapter,
        start: Start,
        encoder_output: EncoderOutput | None,
        settings: UnrollSettings,
    ) -> Iterable[Tensor]:
        """h^(1)..h^(N), (n, C_out) each."""
        if settings.free_running:
            encoder_out = encoder_output and encoder_output.as_stock()
            return [free_run(decoder, start, encoder_out, settings)]
        first = further = decoder.prepare(start.packing, encoder_output, start.prompt)
        if self.unshared_decoder is not None and settings.num_steps > 1:
            own = self.adapter_class(self.decoder, self.unshared_decoder)
            further = own.prepare(start.packing, encoder_output, start.prompt)
        return unroll(first, further, start, settings)

    def read(
        self, src_tokens: Tensor, src_lengths: Tensor, prev_output_tokens: Tensor
    ) -> tuple[Tensor, Tensor, Vocabulary, EncoderOutput | None]:
        """What the unroll starts from; here that of a model with an encoder.

        Args:
            src_tokens: (B, S) source token ids.
            src_lengths: (B,) source lengths.
            prev_output_tokens: (B, T) decoder input w_0..w_{T-1}.

        Returns:
            (B, T) decoder input, (B, T, C_table) its rows of the embedding table, the vocabulary
            and the encoder's output.
        """
        one_table = (
            isinstance(self.encoder, TransformerEncoderBase)
            and self.encoder.embed_tokens is self.decoder.embed_tokens
        )
        streams = [prev_output_tokens, src_tokens] if one_table else [prev_output_tokens]
        vocabulary, (rows, *source_rows) = look_up(self.decoder, *streams)
        encoder_output = encode(self.encoder, src_tokens, src_lengths, *source_rows)
        return prev_output_tokens, rows, vocabulary, encoder_output
