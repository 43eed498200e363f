"""The interface of a feedback, and the registry that makes it a choice on the command line.

C features, V vocabulary; in training the leading axis (...) is that of the n real tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from teaforn_fairseq.decoders.vocabulary import Vocabulary

FEEDBACKS: dict[str, type["Feedback"]] = {}


@dataclass(frozen=True)
class Feedback(ABC):
    """f: features (..., C_out) of one step to input vectors (..., C) of the next.

    Fields of a subclass are its options; field ``x`` is set by ``--teaforn-x``.

    Attributes:
        detach: cut the gradient between steps. It then flows neither through the features nor
            through the probabilities made of them; embeddings that are looked up still learn.
    """

    detach: bool = False

    differentiable: ClassVar[bool] = True
    """Whether any gradient flows from f(h) to h; if none does, ``detach`` has nothing to cut."""

    @abstractmethod
    def __call__(self, features: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Input vectors of the next step.

        Args:
            features: (..., C_out) h_1..h_T of this step.
            vocabulary: E and W of the decoder that made them.

        Returns:
            (..., C), in slot t what stands for the token predicted there.
        """

    def check(self, input_dim: int, output_dim: int, vocabulary_size: int) -> None:  # noqa: B027
        """Refuse a model that this feedback cannot work with.

        Args:
            input_dim: C, width of the decoder's input.
            output_dim: C_out, width of its features.
            vocabulary_size: V.

        Raises:
            ValueError: it cannot; the message names flag, rule and value.
        """


def register_feedback(name: str) -> Callable[[type[Feedback]], type[Feedback]]:
    """Make a feedback a choice of ``--teaforn-feedback``."""

    def register(feedback: type[Feedback]) -> type[Feedback]:
        FEEDBACKS[name] = feedback
        return feedback

    return register


def build_feedback(name: str, options: dict[str, Any]) -> Feedback:
    """Build a feedback from the options that were given.

    Args:
        name: one of FEEDBACKS.
        options: what was given by hand, by field name; None or False counts as not given.

    Raises:
        ValueError: an option that this feedback does not have, or a value out of its range.
    """
    feedback = FEEDBACKS[name]
    given = {key: x for key, x in options.items() if x is not None and x is not False}
    known = {option for option in given if name in _readers(option)}
    for option in sorted(given.keys() - known):
        raise ValueError(
            f"--teaforn-{option}: does nothing with --teaforn-feedback {name}; received"
            f" {given[option]}. Leave it out, or choose a feedback that reads it:"
            f" {', '.join(_readers(option))}."
        )
    return feedback(**given)


def _readers(option: str) -> list[str]:
    return [
        name
        for name, feedback in sorted(FEEDBACKS.items())
        if option in feedback.__dataclass_fields__
        and (option != "detach" or feedback.differentiable)
    ]
