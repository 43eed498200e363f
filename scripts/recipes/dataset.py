"""What a data set is: its settings, and with their values its recipe."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from recipes import common
from recipes.errors import Refused
from recipes.rules import share, whole
from recipes.settings import Default, Setting, Values


@dataclass(frozen=True)
class Archive:
    """A published file.

    Attributes:
        name: under which it is kept.
        url: its home.
        bytes: its size; None: nobody has published it.
        sum: ``sha256:...`` or ``md5:...``; None: nobody has published it.
    """

    name: str
    url: str
    bytes: int | None = None
    sum: str | None = None


@dataclass(frozen=True)
class Needs:
    """GB of disk, GB of memory, and time of a stage: estimates."""

    disk: float
    memory: float
    time: str


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A data set with the values of its settings.

    Attributes:
        title: above the scores.
        source: language of the source, the ending of files.
        target: language of the target.
        archives: what is downloaded.
        extract: options of extract.py text, which write the splits' raw text from the archives.
        corpus: in place of archives, a script in scripts/ and its options, which writes the raw
            text of all splits to the folder ``--out``.
        valid_every: every so many cleaned training pairs is for validation; 0: there is a split.
        bart: "" or the pretrained model, ``bart.base`` or ``bart.large``.
        words: whether the text's words are the tokens, so that no subwords are learned.
        arch: of the model, without ``teaforn_``.
        training: options of fairseq-train.
        generation: options of fairseq-generate.
        scoring: options of report.py.
        test_set: sacreBLEU's name of the test set.
        run: folder of the run in OUT; "": after SIZE, N and SEED.
    """

    title: str
    source: str
    target: str
    arch: str
    training: list[str]
    archives: tuple[Archive, ...] = ()
    extract: tuple[str, ...] = ()
    corpus: tuple[str, ...] = ()
    valid_every: int = 0
    bart: str = ""
    words: bool = False
    generation: list[str] = field(default_factory=lambda: ["--remove-bpe", "sentencepiece"])
    scoring: tuple[str, ...] = ()
    test_set: str = ""
    run: str = ""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """An entry of the list of data sets; the name is its module's.

    Attributes:
        settings: those that not all data sets have.
        recipe: from the values of all settings.
        defaults: in place of the common settings' own.
        without: common settings that it does not read.
        needs: by stage.
        extras: of the plugin, whose packages it needs.
        check: what its settings must be together; raises Refused.
    """

    settings: tuple[Setting, ...]
    recipe: Callable[[Values], Recipe]
    defaults: Mapping[str, Default] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    needs: Mapping[str, Needs] = field(default_factory=dict)
    extras: str = "recipes"
    check: Callable[[Values], None] = lambda s: None

    def all_settings(self) -> list[Setting]:
        """Its own, and the common ones that it reads."""
        replaced = {*self.without, *(setting.name for setting in self.settings)}
        return [*self.settings, *(x for x in common.SETTINGS if x.name not in replaced)]


def as_many_layers(s: Values) -> str:
    """As the encoder has."""
    return s["LAYERS"]


def shape(
    layers: Default,
    width: int,
    ffn: int,
    heads: int,
    dropout: float,
    decoder_layers: Default = as_many_layers,
) -> tuple[Setting, ...]:
    """Settings of a Transformer's size, otherwise equal in encoder and decoder, and of its
    regularisation."""
    text = "of encoder and decoder"
    return (
        Setting("LAYERS", layers, "of the encoder", whole(1), "train"),
        Setting("DECODER_LAYERS", decoder_layers, "of the decoder", whole(1), "train"),
        Setting("WIDTH", str(width), text, whole(1), "train"),
        Setting("FFN", str(ffn), text, whole(1), "train"),
        Setting("HEADS", str(heads), f"{text}; divides WIDTH", whole(1), "train"),
        Setting("DROPOUT", str(dropout), "", share, "train"),
        Setting("LABEL_SMOOTHING", "0.1", "", share, "train"),
    )


def check_shape(s: Values) -> None:
    """Heads share the width.

    Raises:
        Refused: they cannot.
    """
    if s.whole("WIDTH") % s.whole("HEADS"):
        raise Refused(f"HEADS={s['HEADS']}: must divide WIDTH={s['WIDTH']}.")


def shape_options(s: Values) -> list[str]:
    """fairseq-train's options for :func:`shape`."""
    flags = {"WIDTH": "embed-dim", "FFN": "ffn-embed-dim", "HEADS": "attention-heads"}
    return [
        "--share-all-embeddings",
        *(
            word
            for side, layers in (("encoder", "LAYERS"), ("decoder", "DECODER_LAYERS"))
            for name, flag in {layers: "layers", **flags}.items()
            for word in (f"--{side}-{flag}", s[name])
        ),
        *s.options(DROPOUT="--dropout", LABEL_SMOOTHING="--label-smoothing"),
    ]


def choices(setting: Setting) -> str:
    """The closed set of its values, "" where there is none."""
    text = setting.rule("\n") or ""
    return text if re.fullmatch(r"[\w, ]+ or \w+", text) and " of " not in text else ""
