"""Settings of the recipes: every one has its rule, and is told before work where it breaks it or
where the data set does not read it."""

import pytest
from recipe_commands import recipe
from recipes import engine
from recipes.datasets import NAMES, find
from recipes.errors import Refused


def refused(dataset, **given):
    entry = find(dataset)
    with pytest.raises(Refused) as error:
        engine.check(dataset, entry, engine.values_of(dataset, entry, {"GPUS": "0", **given}))
    return str(error.value)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"LAYERS": "x"}, "error: LAYERS: must be a whole number; received 'x'.\n"),
        ({"LAYERS": "0"}, "error: LAYERS: must be at least 1; received '0'.\n"),
        ({"LR": "abc"}, "error: LR: must be a number; received 'abc'.\n"),
        ({"LR": "0"}, "error: LR: must be above 0; received '0'.\n"),
        ({"HEADS": "3"}, "error: HEADS=3: must divide WIDTH=128.\n"),
        ({"DROPOUT": "2"}, "error: DROPOUT: must be at least 0 and below 1; received '2'.\n"),
        ({"VOCAB": "0"}, "error: VOCAB: must be at least 4; received '0'.\n"),
        (
            {"DISCOUNT": "2"},
            "error: DISCOUNT: must be a number from 0 to 1 or a schedule; received '2'.\n",
        ),
        ({"WARMUP": "0"}, "error: WARMUP: must be at least 1; received '0'.\n"),
        ({"SEED": "-1"}, "error: SEED: must be a whole number; received '-1'.\n"),
        ({"RATIO": "0.5"}, "error: RATIO: must be 0 or at least 1; received '0.5'.\n"),
        (
            {"N": "2@5,3@1"},
            "error: N: must be a number from 1 on, a schedule or full, whose updates begin at 0 and"
            " rise; received '2@5,3@1'.\n",
        ),
        ({"N": "full", "DISCOUNT": "1"}, "error: DISCOUNT=1: does nothing with N=full. Leave it"),
        (
            {"N": "2", "WEIGHTS": "1,1", "DISCOUNT": "1"},
            "error: DISCOUNT=1: does nothing with WEIGHTS=1,1. Leave it out.\n",
        ),
        (
            {"N": "3", "WEIGHTS": "1,1"},
            "error: WEIGHTS=1,1: needs a weight for each step; received N=3.\n",
        ),
        (
            {"WEIGHTS": "1,-1"},
            "error: WEIGHTS: must be numbers from 0 on, not all 0, between commas; received '1,-1'",
        ),
        ({"SRC": "it"}, "error: SRC and TGT must be two of en, de, fr; received 'it' 'de'. See"),
        (
            {"SIZE": "big"},
            "error: SIZE=big: multi30k has no SIZE; these have: cnndm (base or large), gigaword"
            " (base or large), wmt14_en_de (base or big), wmt14_en_fr (base or big). Leave it out,",
        ),
        ({"LENPEN": "1"}, "error: LENPEN=1: multi30k has no LENPEN; these have: wmt14_en_de, "),
    ],
    ids=str,
)
def test_a_wrong_setting_of_multi30k_is_told_before_work(env, message, tmp_path):
    out = recipe("multi30k", env={"OUT": str(tmp_path / "out"), "GPUS": "0", **env}, fails=True)
    assert out.startswith(message)
    assert not list(tmp_path.iterdir())


FREE = {"MIRROR", "DATA", "CHECKSUMS", "OUT"}  # addresses and paths


@pytest.mark.parametrize("dataset", NAMES)
def test_every_setting_of_every_data_set_has_a_rule(dataset):
    settings = {x.name for x in find(dataset).all_settings()} - FREE
    for name in settings:
        for value in ("no such", "-0x3", "nan", "1e999x"):
            assert name in refused(dataset, **{name: value}), value
    for name in ("LAYERS", "SIZE", "SRC", "LENPEN", "VOCAB"):
        if name not in settings:
            assert f"{name}=1: {dataset} has no {name};" in refused(dataset, **{name: "1"})


@pytest.mark.parametrize("dataset", NAMES)
def test_the_defaults_keep_to_the_rules(dataset):
    entry = find(dataset)
    for gpus in ("0", "1"):
        s = engine.values_of(dataset, entry, {"GPUS": gpus})
        engine.check(dataset, entry, s)
        assert s["OUT"] and entry.recipe(s).title


def test_settings_that_no_recipe_knows_are_not_judged():
    entry = find("multi30k")
    given = {"GPUS": "0", "SIZES": "x", "HOME": "/", "LR_SCHEDULER": "y", "SIZE": ""}
    engine.check("multi30k", entry, engine.values_of("multi30k", entry, given))
