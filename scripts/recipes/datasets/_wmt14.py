"""WMT14 from English, as fairseq trains it."""

from recipes.common import learning_rate, warm_up
from recipes.dataset import Archive, DataSet, Needs, Recipe
from recipes.rules import choice, number, share
from recipes.settings import Setting, Values

# Sizes and sums: tensorflow/datasets, tensorflow_datasets/url_checksums/wmt15_translate.txt and
# wmt14_translate.txt. Test set: the MD5 sum in sacreBLEU's own list.
EUROPARL = Archive(
    "training-parallel-europarl-v7.tgz",
    "http://www.statmt.org/wmt13/training-parallel-europarl-v7.tgz",
    657632379,
    "sha256:0224c7c710c8a063dfd893b0cc0830202d61f4c75c17eb8e31836103d27d96e7",
)
COMMON_CRAWL = Archive(
    "training-parallel-commoncrawl.tgz",
    "http://www.statmt.org/wmt13/training-parallel-commoncrawl.tgz",
    918311367,
    "sha256:c7a74e2ea01ac6c920123108627e35278d4ccb5701e15428ffa34de86fa3a9e5",
)
NEWS_COMMENTARY = Archive(
    "training-parallel-nc-v9.tgz",
    "http://www.statmt.org/wmt14/training-parallel-nc-v9.tgz",
    80418416,
    "sha256:cb8953f292298e6877ae433c98912b927cb0766b303f4540512ddd286c748485",
)
DEV = Archive(
    "dev.tgz",
    "http://data.statmt.org/wmt19/translation-task/dev.tgz",
    38654961,
    "sha256:7a7deccf82ebb05ba508dba5eb21356492224e8f630ec4f992132b029b4b25e7",
)
TEST = Archive(
    "test-full.tgz",
    "https://statmt.org/wmt14/test-full.tgz",
    None,
    "md5:a8cd784e006feb32ac6f3d9ec7eb389a",
)
ARCHIVES = (EUROPARL, COMMON_CRAWL, NEWS_COMMENTARY, DEV, TEST)
TEST_SET = "wmt14/full"
# fairseq:examples/translation_moe/README.md has base's learning rate and dropout; 8 GPUs of 4,096
# tokens, last 5 checkpoints and 100,000 updates are those of Vaswani et al. 2017 (25,000 tokens, 10
# minutes apart).
BASE = {"LR": "0.0007", "DROPOUT": "0.1", "MAX_TOKENS": "4096", "BATCH": str(8 * 4096)}
BASE |= {"MAX_UPDATE": "100000", "AVERAGE": "5"}
# fairseq:examples/scaling_nmt/README.md: 8 GPUs of 3,584 tokens, --update-freq 16, with the
# learning rate for big batches. The number of updates is ours; the page has none.
BIG = {"LR": "0.001", "MAX_TOKENS": "3584", "BATCH": str(8 * 3584 * 16)}
BIG |= {"MAX_UPDATE": "40000", "AVERAGE": "10"}
# prepare-wmt14en2fr.sh allows 250 subwords and a ratio of 1.5 subwords.
DEFAULTS = {"MAX_WORDS": "250", "RATIO": "2", "DEDUPE": "1", "VOCAB": "32000"}
DEFAULTS |= {"SPM_SENTENCES": "5000000", "BEAMS": "1 2 4 8"}


def wmt14(
    target: str,
    *,
    big_dropout: str,
    needs: dict[str, Needs],
    more_archives: tuple[Archive, ...] = (),
    more_text: tuple[str, ...] = (),
) -> DataSet:
    """The entry for a target language.

    Args:
        target: de or fr.
        big_dropout: of the big model.
        needs: by stage.
        more_archives: beyond those of German.
        more_text: options of extract.py for them.
    """
    archs = {"base": "transformer_wmt_en_de", "big": f"transformer_vaswani_wmt_en_{target}_big"}
    sizes = {"base": BASE, "big": {**BIG, "DROPOUT": big_dropout}}

    def by_size(name: str):
        return lambda s: sizes[s["SIZE"]][name]

    def recipe(s: Values) -> Recipe:
        return Recipe(
            title=f"WMT14 en-{target}, newstest2014",
            source="en",
            target=target,
            archives=ARCHIVES[:3] + more_archives + ARCHIVES[3:],
            extract=text(f"{target}-en", f"{target}en", more_text),
            test_set=TEST_SET,
            arch=archs[s["SIZE"]],
            training=training(s),
            generation=["--lenpen", s["LENPEN"], "--remove-bpe", "sentencepiece"],
        )

    return DataSet(
        settings=(
            Setting("SIZE", "base", "base or big", choice("base", "big"), "train"),
            learning_rate(by_size("LR")),
            Setting("DROPOUT", by_size("DROPOUT"), "", share, "train"),
            warm_up("4000"),
            # fairseq's answer in its issues 346 and 1352.
            Setting("LENPEN", "0.6", "length penalty of generation",
                    number(lambda x: True, ""), "generate"),
        ),
        defaults={**DEFAULTS, **{x: by_size(x) for x in BIG if x != "LR"}},
        recipe=recipe,
        needs=needs,
    )  # fmt: skip


def text(pair: str, test_pair: str, more: tuple[str, ...]) -> tuple[str, ...]:
    """Options of extract.py; as fairseq:examples/translation/prepare-wmt14en2fr.sh, validation is
    newstest2013.

    Args:
        pair: as in the archives' names.
        test_pair: as in the test set's.
        more: options for further archives.
    """
    return (
        *("--train", EUROPARL.name, f"training/europarl-v7.{pair}.{{lang}}"),
        *("--train", COMMON_CRAWL.name, f"commoncrawl.{pair}.{{lang}}"),
        *("--train", NEWS_COMMENTARY.name, f"training/news-commentary-v9.{pair}.{{lang}}"),
        *more,
        *("--valid", DEV.name, "dev/newstest2013.{lang}"),
        *("--test", TEST.name, f"test-full/newstest2014-{test_pair}-{{side}}.{{lang}}.sgm"),
        *("--test-set", TEST_SET),
    )


def training(s: Values) -> list[str]:
    """fairseq-train's options."""
    return [
        "--share-all-embeddings",
        *("--optimizer", "adam", "--adam-betas", "(0.9, 0.98)"),
        *("--clip-norm", "0.0", "--weight-decay", "0.0"),
        *("--lr-scheduler", "inverse_sqrt", "--warmup-init-lr", "1e-07"),
        *s.options(WARMUP="--warmup-updates", LR="--lr", DROPOUT="--dropout"),
        *("--label-smoothing", "0.1"),
    ]
