"""Every command of the README runs as it stands there."""

import re
import venv

import pytest
from commands import ROOT, run

BLOCKS = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
# What the README trains for days on GPUs, small and short; what it says stays as it is.
SMALL = """
fairseq-train() {
    local small=(--decoder-layers 1 --decoder-embed-dim 16 --decoder-ffn-embed-dim 16)
    small+=(--decoder-attention-heads 2)
    if [[ $* != *language_modeling* ]]; then
        small+=(--encoder-layers 1 --encoder-embed-dim 16 --encoder-ffn-embed-dim 16)
        small+=(--encoder-attention-heads 2)
    fi
    command fairseq-train "$@" --cpu --max-update 2 --no-epoch-checkpoints "${small[@]}"
}
fairseq-hydra-train() {
    command fairseq-hydra-train "$@" common.cpu=true optimization.max_update=2 \\
        checkpoint.no_epoch_checkpoints=true \\
        +model.encoder_layers=1 +model.encoder_embed_dim=16 +model.encoder_ffn_embed_dim=16 \\
        +model.decoder_layers=1 +model.decoder_embed_dim=16 +model.decoder_ffn_embed_dim=16
}
fairseq-generate() { command fairseq-generate "$@" --cpu; }
fairseq-eval-lm() { command fairseq-eval-lm "$@" --cpu; }
teaforn-export() { python -m teaforn_fairseq.export "$@"; }
"""
# In place of the published weights.
BART = """
fairseq-train "$1" --arch bart_large --optimizer adam --max-tokens 4096 --save-dir bart.large
mv bart.large/checkpoint_last.pt bart.large/model.pt
"""


def blocks_with(pattern):
    found = [block for block in BLOCKS if re.search(pattern, block)]
    assert found
    return found


def test_fairseq_commands_run_one_after_the_other(numerals, preprocessed, tmp_path):
    (tmp_path / "teaforn_fairseq").symlink_to(ROOT / "teaforn_fairseq")
    (tmp_path / "raw").symlink_to(numerals)
    (tmp_path / "text").mkdir()
    for raw in numerals.iterdir():
        model = preprocessed / "spm.model"
        encode = ("python", ROOT / "scripts/subwords.py", "encode", "--model", model)
        (tmp_path / "text" / raw.name).write_text(run(*encode, stdin=raw.read_text()))
    strict = ("bash", "-euo", "pipefail", "-c")
    run(*strict, SMALL + BART, "bash", preprocessed / "bin", cwd=tmp_path)
    out = run(*strict, SMALL + "".join(blocks_with("fairseq-|teaforn-export")), cwd=tmp_path)
    assert "Loaded checkpoint bart.large/model.pt" in out
    assert re.search(r"Loss \(base 2\): [\d.]+, Perplexity: [\d.]+", out)
    assert out.count("Generate test with beam=4: BLEU4 =") == 4
    hypotheses = re.findall(r"^H-.*", out, flags=re.MULTILINE)
    assert len(hypotheses) == 4 * 13
    twin, bart, exported, _ = (hypotheses[start : start + 13] for start in range(0, 52, 13))
    assert twin == exported != bart
    assert (tmp_path / "checkpoints/mean.pt").is_file()
    assert (tmp_path / "model-ct2/model.bin").is_file()
    assert "nll_loss_2" in out
    assert all(f" | bleu_beam{beam} " in out for beam in (1, 4, 8))
    for run_dir in ("checkpoints", "checkpoints/bleu", "checkpoints/yaml", "checkpoints/stock"):
        assert (tmp_path / run_dir / "checkpoint_best.pt").is_file(), run_dir


def test_installing_beside_an_existing_fairseq_pulls_no_other_one_in(tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    (command,) = blocks_with("--no-deps")
    path = {"PATH": f"{tmp_path}/venv/bin:/usr/bin:/bin"}
    run("bash", "-euc", command, cwd=ROOT, env=path)
    installed = run(tmp_path / "venv/bin/pip", "list", env=path)
    assert "teaforn" in installed
    assert list(tmp_path.rglob("site-packages/teaforn_fairseq/config/teaforn_wmt_en_de.yaml"))
    assert list(tmp_path.rglob("site-packages/teaforn_fairseq/tasks/teaforn_translation.py"))
    assert "fairseq" not in re.sub(r"teaforn.fairseq", "", installed)


RECIPES = re.findall(
    r"^.*scripts/recipe\.sh.*$",
    "".join(re.findall(r"```bash\n(.*?)```", (ROOT / "docs/recipes.md").read_text(), re.DOTALL))
    + "".join(BLOCKS),
    flags=re.MULTILINE,
)


@pytest.mark.parametrize("line", RECIPES)
def test_every_recipe_of_readme_and_docs_can_be_printed(line, tmp_path):
    dry = line.replace("recipe.sh", "recipe.sh --dry-run")
    out = run("bash", "-euc", dry, cwd=ROOT, env={"OUT": str(tmp_path / "out")})
    assert "fairseq-train " in out or "--help" in line
    assert not list(tmp_path.iterdir())


def test_scripts_named_in_the_readme_exist():
    for name in re.findall(r"scripts/[\w.]+", "".join(BLOCKS)):
        assert (ROOT / name).is_file(), name


def test_the_install_command_is_the_one_that_made_this_environment():
    (command,) = blocks_with("--constraint")
    words = command.split()
    assert words[:2] == ["pip", "install"] and words[-1] == "."
    script = (ROOT / "scripts/recipes/environment.py").read_text()
    assert all(word in script for word in words[:-2])


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_is_run_by_a_test_or_is_one_of_the_scripts(block):
    runs = (
        r"fairseq-train|fairseq-hydra-train|teaforn-export|--no-deps|--constraint|scripts/\w+\.sh"
        r"|scripts/bench_\w+\.py"
    )
    assert re.search(runs, block)
