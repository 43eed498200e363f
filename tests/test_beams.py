"""teaforn-beams: what it writes against sacreBLEU, scipy and fairseq-generate, and going on."""

import csv
import json
import re
import shlex
import shutil
from statistics import fmean, stdev

import mt_thresholds
import pytest
from commands import PLUGIN, ROOT, beams, generate
from recipe_commands import left_over, lines
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.significance import PairedTest
from scipy import stats

from teaforn_fairseq.beams.checks import check
from teaforn_fairseq.beams.command import parse_args, plan_of
from teaforn_fairseq.beams.metrics import Rouge
from teaforn_fairseq.beams.report import reaches

SUBWORDS = ("--remove-bpe", "sentencepiece", "--cpu")
COUNT = 13  # sentences of the test set


@pytest.fixture(scope="session")
def systems(learned, last):
    """Two labels with two checkpoints each: words of the command line."""
    return ["--system", "A", learned[1], last, "--system", "B b", learned[0], learned[2]]


@pytest.fixture(scope="session")
def compared(data, numerals, systems, made_once):
    """The folder of a whole run, and what was printed."""

    def make(folder):
        words = (data, *systems, *SUBWORDS, "--reference", numerals / "test.de")
        words += ("--source", numerals / "test.en", "--beams", "2", "1")
        return beams(*words, "--out", folder / "out", "--", "--max-tokens", "800")

    folder, printed = made_once("beams", make)
    return folder / "out", printed


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def text(folder, label, seed, beam, name="hyp"):
    return lines(folder / "systems" / label / f"seed{seed}" / f"beam{beam}" / name)


def test_each_cell_is_what_fairseq_generate_and_sacrebleu_make_of_it(
    compared, data, numerals, systems
):
    folder, printed = compared
    table = rows(folder / "scores.tsv")
    assert [(x["label"], x["beam"], x["seed"]) for x in table] == [
        (label, beam, seed) for label in ("A", "B b") for beam in "12" for seed in "12"
    ]
    source, reference = lines(numerals / "test.en"), lines(numerals / "test.de")
    for number, row in enumerate(table, 1):
        hypotheses, *others = (
            text(folder, row["label"], row["seed"], row["beam"], name)
            for name in ("hyp", "src", "ref")
        )
        assert others == [source, reference] and len(hypotheses) == COUNT
        bleu = BLEU().corpus_score(hypotheses, [reference])
        chrf = CHRF().corpus_score(hypotheses, [reference])
        wanted = [bleu.score, chrf.score, bleu.bp, bleu.ratio]
        found = [row[x] for x in ("bleu", "chrf", "brevity_penalty", "length_ratio")]
        assert [float(x) for x in found] == pytest.approx(wanted, abs=5e-5)
        assert float(row["hypotheses_per_second"]) > 0
        assert row["checkpoint"] in map(str, systems) and f"[{number}/8] " in printed
    for beam in ("1", "2"):
        told = generate(data, systems[-1], "--user-dir", PLUGIN, *SUBWORDS, "--beam", beam)
        wanted = sorted((x[2:].split("\t") for x in told if x[0] == "D"), key=lambda x: int(x[0]))
        assert [x[2] for x in wanted] == text(folder, "B b", 2, beam)


def test_systems_are_compared_over_the_seeds_and_on_the_sentences(compared, numerals):
    folder, _ = compared
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["signatures"]["bleu"] == str(signature(BLEU()))
    assert summary["signatures"]["chrf"] == str(signature(CHRF()))
    scores = {(x["label"], x["beam"], x["seed"]): x for x in rows(folder / "scores.tsv")}
    for row in summary["rows"]:
        for name in ("bleu", "chrf"):
            a, b = (
                [float(scores[label, str(row["beam"]), seed][name]) for seed in "12"]
                for label in ("A", row["label"])
            )
            assert row[f"{name}_mean"] == pytest.approx(fmean(b), abs=0.006)
            assert row[f"{name}_sd"] == pytest.approx(stdev(b), abs=0.006)
            assert row[name] == " ".join(f"{x:.2f}" for x in b)
            if row["label"] == "A":
                assert row[f"{name}_difference"] is row[f"{name}_agreement"] is None
                continue
            test = stats.ttest_rel(b, a)
            ends = test.confidence_interval(0.95)
            difference = fmean(b) - fmean(a)
            agreement = mt_thresholds.accuracy(abs(difference), name)
            wanted = [difference, ends.low, ends.high, agreement]
            found = [row[f"{name}_{x}"] for x in ("difference", "low", "high", "agreement")]
            assert found == pytest.approx(wanted, abs=0.006)
    row = next(x for x in summary["rows"] if (x["label"], x["beam"]) == ("B b", 1))
    systems = [(label, text(folder, label, 2, 1)) for label in ("A", "B b")]
    reference = [lines(numerals / "test.de")]
    result = PairedTest(systems, {"chrF2": CHRF()}, reference, "ar", 10_000)()[1]["chrF2"][1]
    differ = sum(x != y for x, y in zip(systems[0][1], systems[1][1], strict=True))
    assert row["chrf_p"].split()[1] == f"{max(result.p_value, 2 ** (1 - differ)):.4f}"
    assert lines(folder / "summary.tsv")[0].split("\t") == list(row)


def signature(metric):
    metric.corpus_score(["a"], [["a"]])
    return metric.get_signature()


def test_the_page_the_picture_and_the_sentence(compared):
    folder, printed = compared
    page = (folder / "summary.md").read_text(encoding="utf-8")
    assert page.startswith("# A, B b on test\n") and "## chrF2\n" in page
    told = json.loads((folder / "summary.json").read_text())["reached"]
    assert len(told) == 2 and all(x in page and x in printed for x in told)
    assert (folder / "beams.png").read_bytes().startswith(b"\x89PNG")


def test_the_beam_at_which_one_reaches_the_other_s_best():
    means = {"A": [(1, 30.0), (5, 32.0)], "B": [(1, 31.5), (2, 32.0), (5, 33.0)], "C": [(1, 2.0)]}
    table = [
        {"label": label, "beam": beam, "bleu_mean": mean}
        for label, found in means.items()
        for beam, mean in found
    ]
    goal = "A's best BLEU, 32.00 at beam 5"
    assert reaches(table, "A", "B", "bleu") == f"B reaches {goal}, at beam 2 (32.00)."
    told = f"C does not reach {goal}, at any of the beams 1."
    assert reaches(table, "A", "C", "bleu") == told


def test_an_interrupted_run_goes_on_and_other_metrics_translate_nothing_again(
    compared, data, numerals, systems, tmp_path
):
    folder = tmp_path / "out"
    shutil.copytree(compared[0], folder)
    lost, before = folder / "systems/A/seed2/beam1", rows(folder / "scores.tsv")
    lost.rename(lost.with_name("beam1.partial"))  # as if it had been ended there
    words = (data, *systems, *SUBWORDS, "--beams", "1", "2", "--source", numerals / "test.en")
    words += ("--reference", numerals / "test.de", "--metrics", "bleu", "chrf", "rouge")
    printed = beams(*words, "--out", folder, "--", "--max-tokens", "800")
    assert printed.count(": kept, ") == 7 and not left_over(folder)
    after, reference = rows(folder / "scores.tsv"), lines(numerals / "test.de")
    fixed = [x for x in before[0] if x not in ("hypotheses_per_second", "chrf_p", "bleu_p")]
    assert [[x[y] for y in fixed] for x in after] == [[x[y] for y in fixed] for x in before]
    rouge = Rouge().score(text(folder, "A", 1, 2), reference)
    row = next(x for x in after if (x["label"], x["seed"], x["beam"]) == ("A", "1", "2"))
    assert {x: float(row[x]) for x in rouge} == pytest.approx(rouge, abs=5e-5)

    # Nothing is mixed.
    others = [*words, "--out", folder, "--lenpen", "0.5"]
    with pytest.raises(ValueError, match="beam1 was made with another command line than it has"):
        check(plan_of(parse_args(map(str, others)), ["--max-tokens", "800"]))

    # Another baseline in the old one's place is not given the old one's p.
    shutil.rmtree(folder / "systems/A/seed1")
    other = [systems[6] if x == systems[2] else x for x in words]  # the same as B b's
    beams(*other, "--out", folder, "--", "--max-tokens", "800")
    p, old = (
        [x["chrf_p"] for x in table if (x["label"], x["seed"]) == ("B b", "1")]
        for table in (rows(folder / "scores.tsv"), after)
    )
    assert p == ["1.0", "1.0"] and p != old


def test_a_cell_that_fails_names_its_checkpoint_and_leaves_the_others(
    data, numerals, last, edited, tmp_path
):
    broken = edited(last, lambda state: state["model"].pop("decoder.layers.0.fc1.weight"))
    words = ("--system", "bad", broken, "--system", "good", last, "--beams", "1")
    words += ("--reference", numerals / "test.de", "--out", tmp_path / "out", *SUBWORDS)
    printed = beams(data, *words, fails=True)
    assert f"[1/2] bad seed 1 beam 1: failed with {broken}: fairseq-generate ended" in printed
    assert printed.endswith("error: 1 of 2 cells failed, see above.\n")
    (row,) = rows(tmp_path / "out/scores.tsv")
    assert row["label"] == "good"
    # fairseq's own source side, where no raw one is given
    assert text(tmp_path / "out", "good", 1, 1, "src") == lines(numerals / "test.en")


def test_the_page_has_every_flag_and_its_command_can_be_read():
    page = (ROOT / "docs/beams.md").read_text(encoding="utf-8")
    command = re.search(r"^teaforn-beams (.+?)^```", page, re.MULTILINE | re.DOTALL)[1]
    words = shlex.split(command.replace("\\\n", " "))
    split = words.index("--")
    args = parse_args(words[:split])
    assert [len(x) for x in args.systems] == [4, 4]
    args.systems = [["A", __file__]]
    plan = plan_of(args, words[split + 1 :])
    assert plan.generation(4) == [
        *("--gen-subset", "test", "--beam", "4", "--required-batch-size-multiple", "1"),
        *("--lenpen", "1", "--remove-bpe", "sentencepiece", "--max-tokens", "8000"),
    ]
    table = re.findall(r"^\| (`--.+?) \|", page, re.MULTILINE)
    flags = set(re.findall(r"--([\w-]+)", " ".join(table)))
    assert flags == {x.replace("_", "-").replace("systems", "system") for x in vars(args)} - {
        "data"
    }
