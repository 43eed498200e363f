"""``python -m teaforn_fairseq``: every flag that the plugin adds, and which code would run."""

import argparse

import fairseq
import torch
from fairseq.criterions import FairseqCriterion
from fairseq.models.transformer import TransformerModel
from fairseq.tasks.translation import TranslationTask

import teaforn_fairseq
from teaforn_fairseq.criterions.teaforn_cross_entropy import TeaForNCrossEntropyCriterion
from teaforn_fairseq.models.teaforn_transformer import TeaForNTransformerModel
from teaforn_fairseq.tasks.teaforn_translation import TeaForNTranslationTask

# Title, who declares the flags, and whose flags are fairseq's own.
GROUPS = (
    ("--criterion teaforn_cross_entropy", TeaForNCrossEntropyCriterion, FairseqCriterion),
    ("--arch teaforn_*", TeaForNTransformerModel, TransformerModel),
    ("--task teaforn_translation", TeaForNTranslationTask, TranslationTask),
)


class _Defaults(argparse.HelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        if "default:" in text:  # in words, as None stands for a preset's or another
            return text
        if action.default is None or action.default is False:
            return f"{text} (default: {'off' if action.nargs == 0 else 'none'})"
        return f"{text} (default: %(default)s)"


def flags() -> str:
    """All flags of criterion, models and task with help and default, a group each."""
    parser = argparse.ArgumentParser(
        usage="fairseq-train data-bin --user-dir teaforn_fairseq --arch teaforn_ARCHITECTURE"
        " --criterion teaforn_cross_entropy [flags]",
        epilog="Beside these, architectures and task take the flags of their originals.",
        formatter_class=_Defaults,
        add_help=False,
    )
    for title, ours, stock in GROUPS:
        group, theirs = parser.add_argument_group(title), set(_declared(stock))
        for name, action in _declared(ours).items():
            if name not in theirs:
                group._add_action(action)
    return parser.format_help()


def versions() -> str:
    """What is imported, and from where, one line each."""
    modules = (teaforn_fairseq, fairseq, torch)
    return "\n".join(f"{x.__name__} {x.__version__} {x.__path__[0]}" for x in modules)


def _declared(registered: type) -> dict[str, argparse.Action]:
    parser = argparse.ArgumentParser(add_help=False)
    registered.add_args(parser)
    return {action.dest: action for action in parser._actions}


def main() -> None:
    """Print the flags, and without ``--help`` the versions behind them."""
    parser = argparse.ArgumentParser(prog="python -m teaforn_fairseq", add_help=False)
    parser.add_argument("-h", "--help", action="store_true")
    asked = parser.parse_args()
    print(flags(), end="")
    if not asked.help:
        print(f"\n{versions()}")


if __name__ == "__main__":
    main()
