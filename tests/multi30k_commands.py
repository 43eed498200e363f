"""The study of translation on Multi30k as the tests run it: small, on a hundred sentences."""

from commands import ROOT, run

SCRIPT = ROOT / "scripts/multi30k_study.py"
SETTINGS = {
    **{"VOCAB": "120", "LAYERS": "1", "WIDTH": "16", "FFN": "16", "HEADS": "2"},
    **{"MAX_TOKENS": "600", "BATCH": "600", "SAVE_INTERVAL": "2", "AVERAGE": "2"},
}


def study(folder, *options, settings, **kwargs):
    where = ("--work", folder / "work", "--results", folder / "results", "--pairs", "en-de")
    given = [f"{name}={value}" for name, value in settings.items()]
    return run("python", SCRIPT, *where, *options, *(["--set"] if given else []), *given, **kwargs)
