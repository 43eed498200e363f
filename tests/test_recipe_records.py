"""A finished recipe: what is done is skipped, what other settings made is not taken for it, by any
stage, and the difference is told setting by setting."""

import json
import re
import shutil

import pytest
from recipe_commands import SHAPE, TINY, left_over, recipe

AVERAGED = {"MAX_UPDATE": "4", "SAVE_INTERVAL": "2", "AVERAGE": "2", "BEAMS": "1 2"}
STAGES = ["download", "extract", "clean", "preprocess", "train", "average", "generate", "score"]
NOT_RUN = "fairseq_cli|pairs read|%|== training|== generating"


@pytest.fixture(scope="module")
def finished(mirror, checksums, tmp_path_factory):
    """The environment of a recipe of WMT14 that has run, and what it printed."""
    out = tmp_path_factory.mktemp("finished") / "out"
    env = {**TINY, **AVERAGED, "OUT": str(out), "CHECKSUMS": str(checksums)}
    return env, recipe("wmt14_en_de", "--", *SHAPE, env={**env, "MIRROR": mirror})


def again(env, *stages, **kwargs):
    return recipe("wmt14_en_de", *stages, "--", *SHAPE, env=env, **kwargs)


def test_wmt14_en_de_runs_from_download_to_score_and_skips_what_is_done(finished, tmp_path):
    env, first = finished
    assert "kept 280 of 283 pairs; dropped: 1 empty, 0 too long, 1 ratio, 1 duplicate" in first
    assert "effective batch: at most 600 tokens an update = 1 CPU process x" in first
    assert re.search(r"base-n2-seed1/average.pt: transformer_wmt_en_de, 2 checkpoints", first)
    assert "is not the archive of sacreBLEU's wmt14/full; scores will not name it." in first
    out = tmp_path / "out"
    shutil.copytree(env["OUT"], out)
    report = json.loads((out / "base-n2-seed1/report.json").read_text())
    assert report["signatures"]["bleu"].startswith("sacreBLEU nrefs:1|case:mixed|eff:no|tok:13a")
    assert report["sentences"] == 13 and report["runs"][0]["updates"] == 4
    assert set(report["runs"][0]["bleu"]) == {"1", "2"}
    assert not left_over(out)
    table = first[first.index("== WMT14 en-de, newstest2014, 13 sentences") :]
    assert "BLEU beam 1  BLEU beam 2" in table
    shutil.rmtree(out / "download")  # 6.7 GB that nobody needs any more
    second = again({**env, "OUT": str(out), "MIRROR": "http://127.0.0.1:1"})
    assert second.endswith(table)
    assert not re.search(NOT_RUN, second)


# Setting, other value, what is told, the first stage that depends on it.
CHANGES = [
    (
        "CHECKSUMS",
        "",
        r".*; archive dev.tgz: sha256:\w{12} then, sha256:7a7deccf82eb now",
        "extract",
    ),
    ("RATIO", "3", "RATIO: 2 then, 3 now", "clean"),
    ("DEDUPE", "0", "DEDUPE: 1 then, 0 now", "clean"),
    ("VOCAB", "110", "VOCAB: 120 then, 110 now", "preprocess"),
    ("SPM_SENTENCES", "100", "SPM_SENTENCES: 5000000 then, 100 now", "preprocess"),
    ("MAX_SUBWORDS", "99", "MAX_SUBWORDS: 1023 then, 99 now", "preprocess"),
    ("DROPOUT", "0.2", "DROPOUT: 0.1 then, 0.2 now", "train"),
    ("LR", "0.02", "LR: 0.01 then, 0.02 now", "train"),
    ("WARMUP", "3", "WARMUP: 2 then, 3 now", "train"),
    ("DISCOUNT", "0.4", "DISCOUNT: 0.5 then, 0.4 now", "train"),
    ("FEEDBACK", "argmax", "FEEDBACK: nothing then, argmax now", "train"),
    ("BATCH", "1200", "BATCH: 600 then, 1200 now", "train"),
    ("AVERAGE", "1", "AVERAGE: 2 then, 1 now", "train"),
    ("SAVE_INTERVAL", "1", "SAVE_INTERVAL: 2 then, 1 now", "train"),
    ("LENPEN", "1.5", "LENPEN: 0.6 then, 1.5 now", "generate"),
]


@pytest.mark.parametrize(("name", "value", "told", "first"), CHANGES, ids=lambda x: str(x)[:12])
def test_every_stage_that_depends_on_a_changed_setting_stops(finished, name, value, told, first):
    env = {**finished[0], name: value}
    wanted = rf"error: \S+ holds results of other settings\. {told}\. Choose another"
    depending = STAGES[STAGES.index(first) :]
    for stage in depending if first == "generate" else [first, *depending[-2:]]:
        out = again(env, stage, fails=True)
        assert re.search(rf"{wanted} OUT, or remove that (folder|file)\.\n$", out), out
    assert not re.search(NOT_RUN, again(env, fails=True))


def test_options_behind_the_dashes_are_compared(finished):
    out = recipe("wmt14_en_de", "score", "--", *SHAPE, "--lr", "1", env=finished[0], fails=True)
    then = " ".join(str(word) for word in SHAPE)
    assert f"options behind --: {then} then, {then} --lr 1 now. Choose" in out


def test_more_or_fewer_updates_than_the_training_has_are_told(finished):
    env = {**finished[0], "MAX_UPDATE": "8"}
    for stage in ("average", "generate", "score"):
        out = again(env, stage, fails=True)
        assert "MAX_UPDATE: 4 then, 8 now." in out and not re.search(NOT_RUN, out)
    out = again({**env, "MAX_UPDATE": "4", "AVERAGE": "2"}, "train")
    assert "== training" not in out


def test_settings_of_the_machine_may_change(finished):
    env = {**finished[0], "MAX_TOKENS": "300", "WORKERS": "2", "GENERATE_TOKENS": "500"}
    assert not re.search(NOT_RUN, again(env))


# What the scripts in bash wrote for this recipe, as they wrote it.
BASH = {
    "clean.settings": "--max-words 250 --ratio 2 --valid-every 0 --dedupe",
    "data/settings": "en-de, 120 subwords",
    "base-n2-seed1/settings": "--arch teaforn_transformer_wmt_en_de --share-all-embeddings"
    " --optimizer adam --adam-betas (0.9, 0.98) --clip-norm 0.0 --weight-decay 0.0 --lr-scheduler"
    " inverse_sqrt --warmup-init-lr 1e-07 --warmup-updates 2 --lr 0.01 --dropout 0.1"
    " --label-smoothing 0.1 --criterion teaforn_cross_entropy --teaforn-n 2 --teaforn-discount 0.5"
    " --no-epoch-checkpoints --best-checkpoint-metric nll_loss --save-interval-updates 2"
    f" --keep-interval-updates 2 --seed 1 {' '.join(map(str, SHAPE))}, effective batch 600",
}


def test_what_the_scripts_in_bash_left_goes_on(finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished[0]["OUT"], out)
    for record in out.rglob("*settings"):
        record.unlink()
    (out / "data/lengths.json").unlink()
    for name, text in BASH.items():
        (out / name).write_text(f"{text}\n")
    env = {**finished[0], "OUT": str(out)}
    for name, value, told in (("RATIO", "3", "--ratio: 2"), ("LR", "0.02", "--lr: 0.01")):
        assert f"{told} then, {value} now. Choose" in again({**env, name: value}, fails=True)
    printed = again(env, *STAGES[:5])
    assert "note: " in printed and not re.search(NOT_RUN, printed)
    assert "LR: 0.01 then, 0.02 now" in again({**env, "LR": "0.02"}, "train", fails=True)


def test_a_run_that_failed_leaves_no_settings_behind(preprocessed, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(preprocessed, out / "data")
    shutil.copytree(preprocessed.parent / "clean", out / "clean")
    env = {**TINY, "OUT": str(out)}
    for option in ("--teaforn-no-such", "--teaforn-nor-such"):
        told = recipe("numerals", "train", "--", option, "1", env=env, fails=True)
        assert f"unrecognized arguments: {option} 1" in told
        assert "error: training stopped, for the reason above." in told
        assert not (out / "n2/settings").exists()
    shutil.rmtree(out / "data")
    for size in ("100000", "99999"):
        told = recipe("numerals", "preprocess", env={**env, "VOCAB": size}, fails=True)
        assert f"error: --vocab-size: cannot learn {size} subwords" in told
        assert not list((out / "data").glob("*settings"))
