"""fairseq's translation task that validates with BLEU at several beams."""

from argparse import Namespace
from dataclasses import dataclass, field
from typing import Any, Optional

from fairseq import utils
from fairseq.data import encoders
from fairseq.tasks import register_task
from fairseq.tasks.translation import TranslationConfig, TranslationTask
from omegaconf import II
from torch import Tensor
from torch.nn import Module

from teaforn_fairseq.tasks.bleu import log_bleu, statistics
from teaforn_fairseq.tasks.bleu_options import (
    METRIC,
    check_metric,
    check_references,
    parse_beams,
    parse_json,
    read_references,
)


@dataclass
class TeaForNTranslationConfig(TranslationConfig):
    # fairseq builds its parser from the annotations and does not understand "str | None".
    eval_bleu_beams: Optional[str] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "beam sizes, comma-separated: log sacreBLEU of the validation set at each of"
            " them as bleu_beam<size>; takes --eval-bleu-detok, --eval-bleu-detok-args,"
            " --eval-bleu-remove-bpe, --eval-tokenized-bleu and --eval-bleu-args, from the last"
            " all but its beam"
        },
    )
    eval_bleu_references: Optional[str] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "raw references for --eval-bleu-beams, one line a sentence of the validation"
            " set; default: its binarised targets decoded, which have lost every word that is not"
            " in the dictionary"
        },
    )
    # No help: options of other sections, not flags of the task.
    valid_subset: str = II("dataset.valid_subset")
    best_checkpoint_metric: str = II("checkpoint.best_checkpoint_metric")
    maximize_best_checkpoint_metric: bool = II("checkpoint.maximize_best_checkpoint_metric")


@register_task("teaforn_translation", dataclass=TeaForNTranslationConfig)
class TeaForNTranslationTask(TranslationTask):
    """``translation``; with ``--eval-bleu-beams`` validation logs BLEU at these beams as well."""

    cfg: TeaForNTranslationConfig

    def __init__(self, cfg: TeaForNTranslationConfig, src_dict: Any, tgt_dict: Any):
        """Take the options of the command line.

        Raises:
            ValueError: bad beams, options that are no JSON object, references without a use, or
                a best-checkpoint metric that no beam logs or that would keep the worst.
        """
        super().__init__(cfg, src_dict, tgt_dict)
        self.beams = parse_beams(cfg.eval_bleu_beams)
        self.generation = parse_json("--eval-bleu-args", cfg.eval_bleu_args)
        self.detokenization = parse_json("--eval-bleu-detok-args", cfg.eval_bleu_detok_args)
        self.references: list[str] | None = None
        check_references(cfg.eval_bleu_references, self.beams, cfg.valid_subset)
        check_metric(
            cfg.best_checkpoint_metric, cfg.maximize_best_checkpoint_metric, cfg.eval_bleu_beams
        )

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Module:
        """Build the model, and a generator for each beam."""
        model = super().build_model(cfg, from_checkpoint)
        if self.beams:
            self.generators = {
                beam: self.build_generator([model], Namespace(**self.generation | {"beam": beam}))
                for beam in self.beams
            }
            self.detokenizer = encoders.build_tokenizer(
                Namespace(tokenizer=self.cfg.eval_bleu_detok, **self.detokenization)
            )
        return model

    def load_dataset(self, split: str, *args: Any, **kwargs: Any) -> None:
        """Load a data set, and the validation set's raw references with it.

        Raises:
            ValueError: the references are not as many as the sentences.
        """
        super().load_dataset(split, *args, **kwargs)
        path = self.cfg.eval_bleu_references
        if path is not None and split == self.cfg.valid_subset:
            self.references = read_references(path, len(self.datasets[split]))
        elif split != self.cfg.train_subset:
            self.references = None  # fairseq-validate may go on to another set

    def valid_step(
        self, sample: dict[str, Any], model: Module, criterion: Module
    ) -> tuple[Tensor, Any, dict[str, Any]]:
        """Validate on one batch; the log gains each beam's BLEU statistics."""
        loss, sample_size, log = super().valid_step(sample, model, criterion)
        if self.beams:
            references = self._references(sample)
            tokenize = "none" if self.cfg.eval_tokenized_bleu else "13a"
        for beam in self.beams:
            found = self.inference_step(self.generators[beam], [model], sample)
            # An unknown word stays "<unk>", as fairseq-generate writes it.
            hypotheses = [self._text(nbest[0]["tokens"]) for nbest in found]
            log.update(statistics(f"{METRIC}{beam}", hypotheses, references, tokenize=tokenize))
        return loss, sample_size, log

    def reduce_metrics(self, logging_outputs: list[dict[str, Any]], criterion: Module) -> None:
        """Log what the criterion logs, then in validation BLEU at each beam."""
        super().reduce_metrics(logging_outputs, criterion)
        for beam in self.beams:
            log_bleu(f"{METRIC}{beam}", logging_outputs)

    def _references(self, sample: dict[str, Any]) -> list[str]:
        if self.references is not None:
            return [self.references[number] for number in sample["id"].tolist()]
        targets = (utils.strip_pad(target, self.tgt_dict.pad()) for target in sample["target"])
        # One word that no hypothesis contains: "<unk>" would match, as three tokens.
        return [self._text(target, unk_string="UNKNOWNTOKENINREF") for target in targets]

    def _text(self, tokens: Tensor, unk_string: str | None = None) -> str:
        text = self.tgt_dict.string(
            tokens.int().cpu(), self.cfg.eval_bleu_remove_bpe, unk_string=unk_string
        )
        return self.detokenizer.decode(text)
