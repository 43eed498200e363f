"""Multi30k, task 1: 29,000 captions of pictures, one translation each (Elliott et al. 2016), with
the literature's Transformer-tiny. multi30k/dataset has the archives."""

from recipes.common import RUNS, learning_rate, warm_up
from recipes.dataset import Archive, DataSet, Needs, Recipe, check_shape, shape, shape_options
from recipes.errors import Refused
from recipes.rules import anything
from recipes.settings import Setting, Values

ADDRESS = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw"
# Sizes and sums are those of the files in multi30k/dataset as of November 2026.
PUBLISHED = """
test_2016_flickr.de.gz 22890 9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8
test_2016_flickr.en.gz 21077 611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9
test_2016_flickr.fr.gz 22310 6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90
train.de.gz 637044 726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6
train.en.gz 568929 d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f
train.fr.gz 604242 622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c
val.de.gz 24681 f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a
val.en.gz 21650 14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28
val.fr.gz 23001 ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9
"""
ARCHIVES = tuple(
    Archive(name, f"{ADDRESS}/{name}", int(size), f"sha256:{digest}")
    for name, size, digest in (line.split() for line in PUBLISHED.split("\n")[1:-1])
)
LANGUAGES = ("en", "de", "fr")


def check(s: Values) -> None:
    """Two languages, and heads that fit.

    Raises:
        Refused: they are not, or do not.
    """
    if not {s["SRC"], s["TGT"]} <= set(LANGUAGES) or s["SRC"] == s["TGT"]:
        raise Refused(
            f"SRC and TGT must be two of en, de, fr; received '{s['SRC']}' '{s['TGT']}'. See"
            " --help."
        )
    check_shape(s)


def recipe(s: Values) -> Recipe:
    """Everything from the settings."""
    endings = tuple(f".{s[name]}.gz" for name in ("SRC", "TGT"))
    return Recipe(
        title=f"Multi30k {s['SRC']}-{s['TGT']}, test_2016_flickr",
        source=s["SRC"],
        target=s["TGT"],
        archives=tuple(x for x in ARCHIVES if x.name.endswith(endings)),
        extract=(
            *("--train", "train.{lang}.gz", "-", "--valid", "val.{lang}.gz", "-"),
            *("--test", "test_2016_flickr.{lang}.gz", "-"),
        ),
        arch="transformer",
        training=[
            *shape_options(s),
            *("--optimizer", "adam", "--adam-betas", "(0.9, 0.98)"),
            *s.options(LR="--lr"),
            *("--lr-scheduler", "inverse_sqrt"),
            *s.options(WARMUP="--warmup-updates"),
        ],
    )


DATASET = DataSet(
    settings=(
        Setting("SRC", "en", "en, de or fr", anything, "extract"),
        Setting("TGT", "de", "another one of them", anything, "extract"),
        *shape(layers="4", width=128, ffn=256, heads=4, dropout=0.3),
        learning_rate("0.005"),
        warm_up("2000"),
    ),
    recipe=recipe,
    check=check,
    defaults={
        **{"VOCAB": "3000", "MAX_UPDATE": "8000", "BEAMS": "1 5", "FP16": "0"},
        "OUT": lambda s: f"{RUNS}/multi30k-{s['SRC']}-{s['TGT']}",
    },
    needs={
        "download": Needs(0.1, 0.1, "some seconds"),
        "preprocess": Needs(0.1, 1, "a minute"),
        "train": Needs(0.2, 2, "minutes on a GPU, an hour or more on a CPU"),
        "generate": Needs(0.1, 1, "minutes on a CPU"),
    },
)
