"""The recipes' command line, and what several of their tests ask."""

from commands import ROOT, run

RECIPE = ROOT / "scripts/recipe.sh"
TINY = {
    **{"GPUS": "0", "MAX_UPDATE": "3", "MAX_TOKENS": "600", "BATCH": "600", "BEAMS": "1"},
    **{"VOCAB": "120", "VENV": "none", "CHECK_DISK": "0", "LR": "0.01", "WARMUP": "2"},
}
# Path-star graphs, small and short.
STAR = {
    **{"MAX_UPDATE": "30", "MAX_TOKENS": "100", "TRAIN_LINES": "300", "TEST_LINES": "13"},
    **{"LAYERS": "1", "WIDTH": "16", "FFN": "16", "HEADS": "2"},
}


def recipe(*words, env, **kwargs):
    return run(RECIPE, *words, env=env, **kwargs)


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def left_over(folder):
    return [path for path in folder.rglob("*") if "partial" in path.name]


# A small model, for the options behind --.
SHAPE = [
    word
    for side in ("encoder", "decoder")
    for name, value in (("layers", 1), ("embed-dim", 16), ("ffn-embed-dim", 16))
    for word in (f"--{side}-{name}", value)
] + ["--encoder-attention-heads", 2, "--decoder-attention-heads", 2]
