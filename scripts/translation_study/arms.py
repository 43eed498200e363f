"""What the study of translation trains. An arm is a way to train, of settings of the recipe
multi30k and options behind them; all else is the recipe's."""

from dataclasses import dataclass, field, replace

UPDATES = 8000
BASELINE = "a"  # with which the others are compared
SAME_TIME = "c"  # and with this, which has had the time of N = 2


@dataclass(frozen=True)
class Arm:
    """A way to train.

    Attributes:
        what: for people.
        settings: of the recipe, by name.
        options: further ones of fairseq-train.
        updates: of the training.
        continues: name of an arm with fewer updates and the same as this one until it ends. Where
            it has been trained with the same seed, this one goes on from there.
    """

    what: str
    settings: dict[str, str] = field(default_factory=lambda: {"N": "2"})
    options: tuple[str, ...] = ()
    updates: int = UPDATES
    continues: str | None = None


def cut(arm: Arm, updates: int | None) -> Arm:
    """The arm with so many updates; None: with its own."""
    return replace(arm, updates=updates) if updates else arm


def before(arm: Arm) -> list[str]:
    """Names of the arms that an arm continues, the shortest first."""
    return [*before(ARMS[arm.continues]), arm.continues] if arm.continues else []


def beginning(arm: Arm, updates: int) -> Arm:
    """What an arm is until an update, told as one that ends there: 1@0,2@8000 is 1 until 8,000."""
    pieces = [piece.split("@") for piece in arm.settings["N"].split(",")]
    begun = [piece for piece in pieces if int(piece[-1]) < updates] if len(pieces) > 1 else pieces
    n = ",".join("@".join(piece) for piece in begun) if len(begun) > 1 else begun[0][0]
    return replace(arm, settings={**arm.settings, "N": n}, updates=updates)


ARMS: dict[str, Arm] = {
    "a": Arm("teacher forcing", {"N": "1"}),
    "b": Arm("N = 2"),
    # On a CPU alone 1.8 updates a second, N = 2 has 1.1.
    "c": Arm("teacher forcing for the time of N = 2", {"N": "1"}, updates=13000, continues="a"),
    "a-long": Arm("teacher forcing, 15,000 updates", {"N": "1"}, updates=15000, continues="a"),
    "b-long": Arm("N = 2, 15,000 updates", updates=15000, continues="b"),
    "a-longer": Arm(
        "teacher forcing, 22,000 updates", {"N": "1"}, updates=22000, continues="a-long"
    ),
    "b-longer": Arm("N = 2, 22,000 updates", updates=22000, continues="b-long"),
    "c-long": Arm(
        "teacher forcing for the time of b-long", {"N": "1"}, updates=24000, continues="a-longer"
    ),
    "n3": Arm("N = 3", {"N": "3"}),
    "discount-0.125": Arm("N = 2, discount 0.125", {"N": "2", "DISCOUNT": "0.125"}),
    "discount-0.25": Arm("N = 2, discount 0.25", {"N": "2", "DISCOUNT": "0.25"}),
    "discount-1": Arm("N = 2, discount 1", {"N": "2", "DISCOUNT": "1"}),
    "normalized": Arm("N = 2, normalized", options=("--teaforn-normalize",)),
    "late": Arm("N = 2 from update 4,000 on", {"N": "1@0,2@4000"}),
    "fine-tuned": Arm(
        "teacher forcing, then N = 2 from update 8,000 on",
        {"N": "1@0,2@8000"},
        updates=10000,
        continues="a",
    ),
    "topk": Arm(
        "feedback topk of 4", {"N": "2", "FEEDBACK": "topk"}, options=("--teaforn-topk", "4")
    ),
    "scheduled-sampling": Arm(
        "scheduled sampling, ramp of 20,000 updates",
        {"N": "2", "WEIGHTS": "0,1"},  # as the preset has them
        options=("--teaforn-preset", "scheduled-sampling"),
    ),
    "detach": Arm("gradient cut", options=("--teaforn-detach",)),
    "sample-quarter": Arm(
        "a quarter of the positions", options=("--teaforn-sample-positions", "0.25")
    ),
    # Their weights are times 4 where the step runs: 0.125 is 0.5 there, as in b.
    "sample-quarter-unscaled": Arm(
        "a quarter of the positions, as heavy as in b",
        {"N": "2", "DISCOUNT": "0.125"},
        options=("--teaforn-sample-positions", "0.25"),
    ),
    "every-4-unscaled": Arm(
        "every 4th update, as heavy as in b",
        {"N": "2", "DISCOUNT": "0.125"},
        options=("--teaforn-every", "4"),
    ),
    "every-2": Arm("every 2nd update", options=("--teaforn-every", "2")),
    "every-4": Arm("every 4th update", options=("--teaforn-every", "4")),
}
