"""Every command of the README and of docs/ runs as it stands there."""

import re
import shlex
import shutil
import venv
from importlib import metadata
from importlib.util import find_spec

import pytest
from commands import BIN, CHECKOUT, ROOT, run
from packaging.requirements import Requirement

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    block
    for page in PAGES
    for block in re.findall(r"```bash\n(.*?)```", page.read_text(), flags=re.DOTALL)
]
# What the pages train for days on GPUs, small and short; what they say stays as it is.
SHAPE = {"layers": 1, "embed-dim": 16, "ffn-embed-dim": 16, "attention-heads": 2}
SMALL = {
    side: [word for name, x in SHAPE.items() for word in (f"--{side}-{name}", str(x))]
    for side in ("encoder", "decoder")
}
PROMPTS = "--teaforn-prompt-end"
SHORT = ["--cpu", "--max-update", "2", "--no-epoch-checkpoints"]
SHORT_YAML = [
    *("common.cpu=true", "optimization.max_update=2", "checkpoint.no_epoch_checkpoints=true"),
    *(
        f"+model.{side}_{name.replace('-', '_')}={x}"
        for side in SMALL
        for name, x in SHAPE.items()
        if name != "attention-heads"
    ),
]


def as_run(line):
    """The words of a command of the pages, a training's with what makes it small."""
    command, *words = shlex.split(line)
    if command == "teaforn-export":  # installed or not
        return ["python", "-m", "teaforn_fairseq.export", *words]
    if command == "teaforn-exposure":
        return ["python", "-m", "teaforn_fairseq.exposure", *words, "--cpu"]
    small = SMALL["decoder"] if "language_modeling" in words else sum(SMALL.values(), [])
    more = {
        "fairseq-preprocess": [],
        "fairseq-train": [*SHORT, *small],
        "fairseq-hydra-train": SHORT_YAML,
        "fairseq-generate": ["--cpu"],
        "fairseq-eval-lm": ["--cpu"],
        "fairseq-interactive": ["--cpu"],
    }
    return [command, *words, *more[command]]


def blocks_with(pattern):
    found = [block for block in BLOCKS if re.search(pattern, block)]
    assert found
    return found


def lines_of(*blocks):
    """The commands of blocks, each in a line."""
    return "".join(blocks).replace("\\\n", " ").splitlines()


def test_fairseq_commands_run_one_after_the_other(numerals, preprocessed, tmp_path):
    (tmp_path / "teaforn_fairseq").symlink_to(ROOT / "teaforn_fairseq")
    (tmp_path / "raw").symlink_to(numerals)
    (tmp_path / "text").mkdir()
    for raw in numerals.iterdir():
        model = preprocessed / "spm.model"
        encode = ("python", ROOT / "scripts/subwords.py", "encode", "--model", model)
        (tmp_path / "text" / raw.name).write_text(run(*encode, stdin=raw.read_text()))
    (tmp_path / "text/spm.model").symlink_to(preprocessed / "spm.model")
    # In place of the published weights.
    bart = f"fairseq-train {preprocessed / 'bin'} --arch bart_large --optimizer adam"
    run(*as_run(f"{bart} --max-tokens 4096 --save-dir bart.large"), cwd=tmp_path)
    (tmp_path / "bart.large/checkpoint_last.pt").rename(tmp_path / "bart.large/model.pt")
    left = [PROMPTS, *([] if find_spec("transformers") else ["--format huggingface"])]
    blocks = [x for x in blocks_with("fairseq-|teaforn-ex") if not any(y in x for y in left)]
    lines = lines_of(*blocks)
    out = "".join(run(*as_run(line), cwd=tmp_path, env=CHECKOUT) for line in lines)
    assert "Loaded checkpoint bart.large/model.pt" in out
    assert evaluated_tokens(out) == tokens_of(tmp_path / "text/test.de")
    assert out.count("Generate test with beam=4: BLEU4 =") == 4
    hypotheses = re.findall(r"^H-.*", out, flags=re.MULTILINE)
    assert len(hypotheses) == 4 * 13
    twin, exported, _, bart = (hypotheses[start : start + 13] for start in range(0, 52, 13))
    assert twin == exported != bart
    assert (tmp_path / "checkpoints/mean.pt").is_file()
    assert (tmp_path / "model-ct2/model.bin").is_file()
    assert (tmp_path / "model-hf/source.spm").is_file() == ("--format huggingface" not in left)
    assert (tmp_path / "exposure/exposure.png").is_file()
    assert "nll_loss_2" in out
    assert all(f" | bleu_beam{beam} " in out for beam in (1, 4, 8))
    for run_dir in ("checkpoints", "checkpoints/bleu", "checkpoints/yaml", "checkpoints/stock"):
        assert (tmp_path / run_dir / "checkpoint_best.pt").is_file(), run_dir


def test_a_language_model_goes_on_from_prompts(prompted, tmp_path):
    (tmp_path / "teaforn_fairseq").symlink_to(ROOT / "teaforn_fairseq")
    (tmp_path / "text").symlink_to(prompted)
    (tmp_path / "prompts.txt").write_text("twenty-one =>\none hundred and three =>\n")
    lines = lines_of(*blocks_with(PROMPTS))
    out = "".join(run(*as_run(line), cwd=tmp_path, env=CHECKOUT) for line in lines)
    assert len(re.findall(r"^H-[01]\t\S+\t.* =>", out, flags=re.MULTILINE)) == 2


def evaluated_tokens(out):
    """How many tokens fairseq-eval-lm says that it counted."""
    (tokens,) = re.findall(r"Evaluated ([\d,]+) tokens", out)
    assert re.search(r"Loss \(base 2\): [\d.]+, Perplexity: [\d.]+", out)
    return int(tokens.replace(",", ""))


def tokens_of(text):
    """Those of a text, an end of sentence a line included."""
    return sum(len(line.split()) + 1 for line in text.read_text().splitlines())


@pytest.fixture
def clone(tmp_path):
    """What pip reads of a clone; it writes into it as well."""
    folder = tmp_path / "clone"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "teaforn_fairseq", folder / "teaforn_fairseq", ignore=ignored)
    for name in ("pyproject.toml", "setup.py", "constraints.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


def test_installing_beside_an_existing_fairseq_pulls_no_other_one_in(clone, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    (command,) = blocks_with("--no-deps")
    path = {"PATH": f"{tmp_path}/venv/bin:/usr/bin:/bin"}
    run("bash", "-euc", command, cwd=clone, env=path)
    pip = tmp_path / "venv/bin/pip"
    installed = run(pip, "list", env=path)
    assert re.search(rf"^teaforn.fairseq +{version()}$", installed, flags=re.MULTILINE)
    assert "fairseq" not in re.sub(r"teaforn.fairseq", "", installed)
    files = run(pip, "show", "--files", "teaforn_fairseq", env=path).partition("Files:\n")[2]
    package = {x.strip() for x in files.splitlines() if "__pycache__" not in x}
    inside = {x for x in package if x.startswith("teaforn_fairseq/")}
    assert {x.partition("/")[0] for x in package - inside} == {
        "..",  # bin/teaforn-export, bin/teaforn-exposure
        f"teaforn_fairseq-{version()}.dist-info",
    }
    assert inside == {
        str(x.relative_to(clone))
        for pattern in ("*.py", "*.yaml")
        for x in (clone / "teaforn_fairseq").rglob(pattern)
    }


def version():
    """The plugin's, as its first file has it."""
    (found,) = re.findall(
        r'^__version__ = "(.+)"$', (ROOT / "teaforn_fairseq/__init__.py").read_text(), re.M
    )
    return found


def other_versions():
    """Packages that are here in another version than the one that is pinned."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    here = {spelled(x.name): x.version for x in metadata.distributions()}
    return {
        pin.name: here[spelled(pin.name)]
        for pin in pins
        if (pin.marker is None or pin.marker.evaluate())
        and spelled(pin.name) in here
        and not pin.specifier.contains(here[spelled(pin.name)])
    }


def spelled(name):
    return name.lower().replace("_", "-")


def test_the_tested_set_of_packages_is_all_that_an_installation_needs(clone):
    if others := other_versions():
        pytest.skip(f"not the tested set: {others}")
    (command,) = blocks_with("--constraint")[:1]
    # From what is here and nowhere else: the set fits the ranges, and nothing is missing in it.
    here = 'pip() { command pip "$@" --dry-run --no-index --no-build-isolation; }\n'
    out = run("bash", "-euc", here + command, cwd=clone, env={"PATH": f"{BIN}:/usr/bin:/bin"})
    assert f"Would install teaforn_fairseq-{version()}\n" in out


def test_the_flags_of_the_page_are_printed_on_the_command_line():
    (command,) = blocks_with("python -m teaforn_fairseq\n")
    out = run("bash", "-euc", command, cwd=ROOT)
    assert f"\nteaforn_fairseq {version()} " in out
    page = (ROOT / "docs/flags.md").read_text()
    assert set(re.findall(r"^\| `(--teaforn-[\w-]+)", page, re.M)) <= set(out.split())


RECIPES = re.findall(r"^.*scripts/recipe\.sh.*$", "".join(BLOCKS), flags=re.MULTILINE)


@pytest.mark.parametrize("line", RECIPES)
def test_every_recipe_of_readme_and_docs_can_be_printed(line, tmp_path):
    dry = line.replace("recipe.sh", "recipe.sh --dry-run")
    out = run("bash", "-euc", dry, cwd=ROOT, env={"OUT": str(tmp_path / "out")})
    assert "fairseq-train " in out or "--help" in line
    assert not list(tmp_path.iterdir())


def test_scripts_named_in_the_pages_exist():
    for name in re.findall(r"scripts/[\w.]+", "".join(BLOCKS)):
        assert (ROOT / name).is_file(), name


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_is_run_by_a_test_or_is_one_of_the_scripts(block):
    runs = (
        r"fairseq-train|fairseq-hydra-train|teaforn-ex\w+|--no-deps|--constraint|scripts/\w+\.sh"
        r"|scripts/bench_\w+\.py|python -m teaforn_fairseq\n"
    )
    assert re.search(runs, block)
