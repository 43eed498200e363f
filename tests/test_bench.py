"""The benchmarks: what they count, what they write, what they refuse. No time is judged here."""

import json
import math
import re
import sys

import bench_generate
import bench_step
import bench_train
import pytest
from bench import peak, plot, steps
from bench.counts import Tokens, step_cost
from bench.shapes import BASE, Setup, Shape
from bench.systems import parse_system, parse_systems
from commands import CHECKOUT, ROOT, run

SMALL = Shape(1, 1, 16, 32, 2, 50)
FLAGS = [
    *("--encoder-layers", "1", "--decoder-layers", "1", "--width", "16", "--ffn", "32"),
    *("--heads", "2", "--vocabulary", "4000", "--tokens", "400", "--longest", "8"),
    *("--threads", "1"),
]
ROW = {
    *("system", "n", "seconds", "ratios", "ratio", "multiply_adds", "counted", "packed"),
    *("host_seconds", "peak_mb", "peak_ratio", "profile"),
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """bench_step.py with everything on: its JSON, its plot and what it printed."""
    folder = tmp_path_factory.mktemp("bench")
    printed = run(
        *("python", ROOT / "scripts/bench_step.py", *FLAGS, "--systems", "n2-recompute"),
        *("--rounds", "2", "--profile", "--json", folder / "step.json"),
        *("--plot", folder / "cost.svg"),
        env=CHECKOUT,
    )
    return json.loads((folder / "step.json").read_text()), folder, printed


def assert_two_positive_ratios(rows):
    for row in rows:
        assert len(row["ratios"]) == len(row["seconds"]) == 2
        assert all(math.isfinite(x) and x > 0 for x in row["ratios"])
        assert row["ratio"]["p20"] <= row["ratio"]["median"] <= row["ratio"]["p80"]
    assert rows[0]["system"] == "stock" and rows[0]["ratios"] == [1, 1]


def refusal(monkeypatch, capsys, *words):
    """The error that bench_step.py gives, in this process."""
    monkeypatch.setattr(sys, "argv", ["bench_step.py", *map(str, words)])
    # Silencing fairseq's log would outlive this test.
    monkeypatch.setattr(bench_step.machine, "quieten", lambda: None)
    with pytest.raises(SystemExit) as stopped:
        bench_step.main()
    assert stopped.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "system, expected",
    [
        ("n1", 1.00),
        ("n2", 1.64),
        ("n3", 2.28),
        # By hand, in d^2: 232 for the first step, 84 + 64 for a further one.
        ("n3-recompute", 1 + (2 * 148 + 2 * 84 / 3) / 232),
        ("n2-sample0.25", 1 + (84 + 16) / 232),
        ("n2-every4", 1 + 148 / 4 / 232),
        ("n3-recompute-every4-sample0.5", 1 + (2 * (84 + 32) + 2 * 84 / 3) / 4 / 232),
    ],
)
def test_counts_at_the_base_size_are_those_of_the_method(system, expected):
    tokens = Tokens(source=800, target=800)
    ratio = step_cost(BASE, tokens, parse_system(system)) / step_cost(BASE, tokens)
    assert round(ratio, 2) == round(expected, 2)


def test_a_prompt_is_counted_once_and_without_the_end_of_the_last_layer():
    shape = Shape(encoder_layers=0, decoder_layers=2, width=10, ffn=30, heads=1, vocabulary=70)
    tokens = Tokens(source=0, target=5, prompt=20)
    layer, keys_and_values, projection = 4 * 100 + 2 * 300, 2 * 100, 700
    prompt, step = 20 * (layer + keys_and_values), 5 * (2 * layer + projection)
    assert step_cost(shape, tokens) == 3 * 25 * (2 * layer + projection)
    assert step_cost(shape, tokens, parse_system("n3")) == 3 * (prompt + 3 * step)


def test_counts_take_each_side_at_its_own_length():
    shape = Shape(encoder_layers=3, decoder_layers=2, width=10, ffn=30, heads=1, vocabulary=70)
    source = 3 * (400 + 600) + 2 * 200  # the encoder, and its K and V
    target = 2 * (600 + 600) + 700
    assert step_cost(shape, Tokens(5, 0)) == 3 * 5 * source
    assert step_cost(shape, Tokens(0, 7)) == 3 * 7 * target


def test_step_writes_everything_it_was_asked_for(measured):
    result, folder, printed = measured
    assert result.keys() == {*("benchmark", "command", "machine", "versions", "date", "runs")}
    assert result["machine"].keys() == {"cpu", "cores", "threads", "system"}
    assert result["machine"]["threads"] == 1
    assert result["versions"].keys() == {"python", "torch", "fairseq", "teaforn_fairseq"}
    (measurement,) = result["runs"]
    rows = measurement["rows"]
    assert [row["system"] for row in rows] == ["stock", "n2-recompute"]
    assert all(row.keys() == ROW and row["host_seconds"] is None for row in rows)
    assert_two_positive_ratios(rows)
    assert measurement["setup"]["shape"]["width"] == 16 and measurement["setup"]["dropout"] == 0.1
    assert measurement["batch"]["target_padded"] >= measurement["batch"]["target_tokens"] >= 60
    assert all("aten::addmm" in row["profile"] for row in rows)
    assert "n2-recompute" in printed and "Traceback" not in printed
    assert "</svg>" in (folder / "cost.svg").read_text()
    assert sorted(path.name for path in folder.iterdir()) == ["cost.svg", "step.json"]


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_step_measures_peak_memory_in_processes_of_their_own(measured):
    rows = measured[0]["runs"][0]["rows"]
    assert all(row["peak_mb"] >= 0 and math.isfinite(row["peak_mb"]) for row in rows)
    assert rows[0]["peak_ratio"] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_peak_memory_counts_what_a_step_takes_and_gives_back():
    script = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from bench import peak\n"
        "print(peak.peak_above_now(lambda update: bytearray(b'x') * 200_000_000))\n"
    )
    out = run("python", "-c", script, ROOT / "scripts")
    assert 190_000_000 < int(out) < 210_000_000


def test_every_option_of_a_system_runs_and_is_counted():
    systems = parse_systems("n1,n1-plain,n2-sample0.25,n2-every4,n3-recompute-every2-plain,n1")
    setup = Setup(SMALL, tokens=30, longest=6, dropout=0.1, seed=1, threads=1)
    rows = steps.measure(setup, systems, 2)["rows"]
    assert_two_positive_ratios(rows)
    counted = {row["system"]: row["counted"] for row in rows}
    assert list(counted)[1:] == [system.name for system in systems]
    assert len(systems) == 5
    assert counted["stock"] == counted["n1"] == counted["n1-plain"] == 1
    assert 1 < counted["n2-every4"] < counted["n2-sample0.25"]
    assert all(row["peak_mb"] is row["profile"] is None for row in rows)


def test_plot_draws_n_in_order_from_several_files():
    def row(n, name, median):
        ratio = {"p20": median, "median": median, "p80": median}
        return {"system": name, "n": n, "ratio": ratio, "counted": 2.0}

    rows = [[row(3, "n3", 2.0), row(1, "n1", 0.9)], [row(2, "n2", 1.4), row(3, "n3-every2", 1.5)]]
    results = [{"runs": [{"rows": each}]} for each in rows]
    lines = {kind: [n for n, _ in points] for kind, points in plot.lines(results).items()}
    assert lines == {"N": [1, 2, 3], "N-every2": [3]}


def test_generation_is_identical_and_its_times_are_written(tmp_path):
    out = run(
        *("python", ROOT / "scripts/bench_generate.py", *FLAGS, "--length", "7"),
        *("--rounds", "2", "--json", tmp_path / "generate.json"),
        env=CHECKOUT,
    )
    result = json.loads((tmp_path / "generate.json").read_text())
    assert [row["system"] for row in result["rows"]] == ["stock", "twin", "exported"]
    assert all(row["identical"] for row in result["rows"])
    assert_two_positive_ratios(result["rows"])
    assert (result["beam"], result["length"], result["benchmark"]) == (4, 7, "generate")
    assert out.count("identical") == 3


NOT_SYSTEMS = ["stock", "n2x", "n2-recomputed", "n2-every2-every3", "", "n-plain"]


@pytest.mark.parametrize("name", NOT_SYSTEMS)
def test_an_unknown_system_is_refused_with_the_choices(monkeypatch, capsys, name):
    assert refusal(monkeypatch, capsys, "--systems", f"n1,{name}") == (
        "bench_step.py: error: argument --systems: each must be nN with any of -recompute,"
        f" -sampleR, -everyK, -plain and -fused behind it; received '{name}'."
    )


@pytest.mark.parametrize(
    "words, error",
    [
        (["--systems", "n1-recompute"], "--teaforn-recompute: does nothing with --teaforn-n 1"),
        (["--systems", "n2-sample1.5"], "must be above 0 and at most 1; received 1.5."),
        (["--width", "20"], "--width: must be a multiple of --heads; received 20 with 8"),
        (["--vocabulary", "4"], "--vocabulary: must be at least 5"),
        (["--dropout", "1"], "--dropout: must be at least 0 and below 1; received 1.0."),
        (["--rounds", "0"], "must be a whole number of at least 1; received 0."),
        (["--json", "nowhere/a.json"], "--json: must be a file in a folder that is there"),
        (["--from", "a.json"], "--from: is for --plot, which is missing."),
        (["--plot", "a.txt"], "--plot: must end in .png, .svg, .pdf; received a.txt."),
        (["--plot", "a.png", "--sweep", "length"], "--plot: draws cost against N only"),
        (["--plot", "a.png", "--from", "a", "--systems", "n1"], "--systems: nothing is measured"),
        (["--plot", "a.png", "--from", "none"], "--from: must be files that bench_step.py wrote"),
    ],
    ids=lambda x: "" if isinstance(x, str) else " ".join(x),
)
def test_step_refuses_before_it_measures(monkeypatch, capsys, tmp_path, words, error):
    monkeypatch.chdir(tmp_path)
    assert error in refusal(monkeypatch, capsys, *words)


def test_sweeps_change_one_size_and_leave_the_others():
    setup = Setup(BASE, tokens=800, longest=32, dropout=0.1, seed=1, threads=1)
    assert list(bench_step.points(setup, "n")) == [setup]
    vocabularies = [x.shape.vocabulary for x in bench_step.points(setup, "vocabulary")]
    assert vocabularies == [4000, 8000, 16000, 32000, 64000]
    lengths = list(bench_step.points(setup, "length"))
    assert [x.longest for x in lengths] == [16, 32, 64, 128, 256]
    assert all(x.shape == BASE for x in lengths)
    names = [system.n for system in parse_systems(bench_step.SWEEPS["n"][0])]
    assert names == [*range(1, 9), *range(2, 9)]


COMMANDS = re.findall(
    r"^python scripts/(bench_\w+)\.py(.*)$",
    "".join((ROOT / name).read_text() for name in ("README.md", "docs/step-cost.md")),
    flags=re.MULTILINE,
)


def test_the_commands_of_readme_and_docs_are_understood():
    scripts = bench_step, bench_train, bench_generate
    parsers = {script.__name__: script.make_parser() for script in scripts}
    assert len(COMMANDS) >= 10
    for script, words in COMMANDS:
        parsers[script].parse_args(words.split())


def test_help_tells_every_default(capsys):
    for script in (bench_step, bench_generate):
        with pytest.raises(SystemExit):
            script.make_parser().parse_args(["--help"])
        text = " ".join(capsys.readouterr().out.split())
        assert "(default: base 512, big 1024, tiny 128, deep-shallow 512)" in text
        assert "(default: 7)" in text and "--peak-of" not in text


def test_a_step_too_small_to_be_measured_is_told(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("print('{\"peak_bytes\": 0}')")
    with pytest.raises(ValueError, match="--memory: a step of stock takes too little to be"):
        peak.measure(script, [], "stock")
