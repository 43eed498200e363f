"""``teaforn-exposure`` on a GPU."""

import json

import pytest

from teaforn_fairseq.exposure.command import main

CLOSE = {"rel": 1e-3, "abs": 1e-3}  # float32 in another order; a near tie would be 0.3 %
HALF = {"rel": 0.05, "abs": 0.5}


@pytest.mark.parametrize(("options", "close"), [([], CLOSE), (["--fp16"], HALF)])
def test_it_measures_what_the_cpu_does(data, learned, device, tmp_path, options, close):
    found = []
    for place, words in (("cpu", ["--cpu"]), ("gpu", options)):
        system = ["--system", "teaforn", str(learned[-1])]
        main([str(data), *system, "--out", str(tmp_path / place), *words])
        result = json.loads((tmp_path / place / "exposure.json").read_text())
        assert result["device"] == ("cpu" if place == "cpu" else device.type)
        figures = result["cells"][0]["figures"]
        found.append({(x["figure"], x["at"]): x["value"] for x in figures})
    for key in (("nll", "1"), ("nll", "3"), ("entropy", ""), ("cosine_gold", ""), ("tokens", "")):
        assert found[1][key] == pytest.approx(found[0][key], **close), key
    assert found[0].keys() >= {("on_road", "all"), ("repeated", "1")} <= found[1].keys()
