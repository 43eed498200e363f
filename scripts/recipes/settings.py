"""Settings: where their values come from and what they must be."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from recipes.errors import Refused
from recipes.rules import Rule

# In the absence of a value: itself, or a function of the other values.
Default = str | Callable[["Values"], str]


@dataclass(frozen=True)
class Setting:
    """A value that the environment may give.

    Attributes:
        name: of the environment variable.
        default: in its absence; "" allows an empty value.
        help: what it is.
        rule: what a value must be; an empty one need not be anything.
        stage: the first stage whose result it changes; "": none, so that it may change between
            one start and the next.
    """

    name: str
    default: Default
    help: str
    rule: Rule
    stage: str = ""


class Values(dict[str, str]):
    """The values of settings by name, each worked out and checked when it is first asked for.

    Args:
        settings: all there are.
        defaults: of a data set, in place of the settings' own.
        environment: wins over both, unless empty.
    """

    def __init__(
        self,
        settings: Iterable[Setting],
        defaults: Mapping[str, Default],
        environment: Mapping[str, str],
    ):
        super().__init__()
        self.settings = {setting.name: setting for setting in settings}
        self.defaults, self.environment = defaults, environment

    def __missing__(self, name: str) -> str:
        setting = self.settings[name]
        default = self.defaults.get(name, setting.default)
        value = self.environment.get(name) or (default(self) if callable(default) else default)
        wanted = value and setting.rule(value)
        if wanted:
            raise Refused(f"{name}: must be {wanted}; received '{value}'.")
        self[name] = value
        return value

    def given(self, name: str) -> bool:
        """Whether the environment has it."""
        return bool(self.environment.get(name))

    def whole(self, name: str) -> int:
        """A whole number."""
        return int(self[name])

    def on(self, name: str) -> bool:
        """Whether a switch is 1."""
        return self[name] == "1"

    def options(self, **flags: str) -> list[str]:
        """Options from settings: ``options(LR="--lr")`` is ``["--lr", self["LR"]]``."""
        return [word for name, flag in flags.items() for word in (flag, self[name])]

    def check_all(self) -> None:
        """Hold every value against its rule.

        Raises:
            Refused: the first that breaks it.
        """
        for name in self.settings:
            self[name]
