"""``teaforn-exposure``: every number against slow plain code, one sentence, one token at a time."""

import json
import math

import commands
import pytest
import reference
import small_lm
import torch
from commands import CHECKOUT, NO_DROPOUT, STOCK, run
from fairseq import checkpoint_utils

from teaforn_fairseq.decoders.transformer import TransformerAdapter
from teaforn_fairseq.exposure.command import main

GROUPS = {"6-10": range(6, 11), "11-20": range(11, 21), "21-50": range(21, 51)}
SHORT = ["--disable-validation", "--max-update"]


@pytest.fixture(scope="module")
def stock(data, made_once):
    """A checkpoint of fairseq's own Transformer and loss, without the plugin."""
    options = [*STOCK, *SHORT, "60"]
    folder, _ = made_once("stock", lambda x: commands.train(data, x, *options, user_dir=None))
    return folder / "checkpoint_last.pt"


@pytest.fixture(scope="module")
def prompting(prompted, made_once):
    """A language model that has seen lines with prompts."""
    options = ["--sample-break-mode", "eos", "--tokens-per-sample", "64", *SHORT, "60"]
    options += [*NO_DROPOUT, "--lr", "0.02", "--teaforn-prompt-end", "=>"]
    folder, _ = made_once("prompting", lambda x: small_lm.train(prompted, x, *options))
    return folder / "checkpoint_last.pt"


def measured(data, out, *systems, options=()):
    """The result of the command line, run in this process."""
    words = [str(x) for system in systems for x in ("--system", *system)]
    main([str(data), *words, "--out", str(out), "--cpu", *options])
    return json.loads((out / "exposure.json").read_text())


def as_dict(figures):
    return {(x["figure"], x["at"]): x["value"] for x in figures}


def plain(path, data, *, num_steps, feedback=None, prompt_end=None, subset="test"):
    """All figures of a checkpoint, and those of the references, from their definitions."""
    models, _, task = checkpoint_utils.load_model_ensemble_and_task(
        [str(path)], arg_overrides={"data": str(data)}
    )
    model, words = models[0].eval(), task.target_dictionary
    task.load_dataset(subset)
    dataset = task.dataset(subset)
    tokens, own_texts, gold_texts = [], [], []
    for number in range(len(dataset)):
        sample = dataset.collater([dataset[number]])
        ((source, target),) = reference.sentences(model, sample)
        given = target.tolist().index(words.index(prompt_end)) + 1 if prompt_end else 0
        decodes = prompt_end or reference.has_encoder(model)
        own = greedy(model, source, target, given) if decodes else None
        tokens += of_tokens(model, source, target, given, own, num_steps, feedback)
        texts = ((gold_texts, target), *([(own_texts, own)] if decodes else []))
        for found, ids in texts:
            found.append(words.string(torch.as_tensor(ids[given:])).split())
    figures = {("sentences", ""): len(dataset), ("tokens", ""): len(tokens)}
    figures |= of_steps(tokens, num_steps) | of_road(tokens) | of_words(tokens)
    return figures | of_texts(own_texts), of_texts(gold_texts)


def greedy(model, source, target, given):
    """The likeliest token again and again; as fairseq-generate, no padding and no empty text."""
    pad, eos = model.decoder.dictionary.pad(), model.decoder.dictionary.eos()
    encoder_out = reference.encode(model, source)
    read, found = [eos, *target[:given].tolist()], target[:given].tolist()
    while not found[given:] or found[-1] != eos:
        logits = model.decoder(torch.tensor([read]), encoder_out=encoder_out)[0][0, -1]
        logits[pad] = -math.inf
        if not found:
            logits[eos] = -math.inf
        found.append(eos if len(found) == 200 else int(logits.argmax()))
        read.append(found[-1])
    return found


def of_tokens(model, source, target, given, own, num_steps, feedback):
    """What is known of each label that counts."""
    decoder = model.decoder
    steps = list(reference.steps(model, source, target, num_steps, given, feedback))
    on_road = True
    for place in range(given, len(target)):
        label = int(target[place])
        right_own = None if own is None else own[place : place + 1] == [label]
        on_road = on_road and right_own
        probabilities = [decoder.output_projection(h[place]).double().softmax(-1) for h in steps]
        p, best = probabilities[0], int(probabilities[0].argmax())
        h, e_best, e_gold = (
            x.double() for x in (steps[0][place], *(row(decoder, w) for w in (best, label)))
        )
        yield {
            "position": place - given + 1,
            "right": [int(q.argmax()) == label for q in probabilities],
            "nll": [-math.log2(q[label]) for q in probabilities],
            "gold_prefix": best == label,
            "own_prefix": right_own,
            "on_road": on_road if own is not None else None,
            "cosine_predicted": float(h @ e_best / h.norm() / e_best.norm()),
            "cosine_gold": float(h @ e_gold / h.norm() / e_gold.norm()),
            "norm_ratio": float(h.norm() / e_best.norm()),
            "entropy": -sum(float(x) * math.log2(x) for x in p if x > 0),
            "confidence": float(p[best]),
            "probability": float(p[label]),
            "rank": 1 + sum(float(x) > float(p[label]) for x in p),
        }


def row(decoder, word):
    return decoder.embed_scale * decoder.embed_tokens(torch.tensor(word))


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def of_steps(tokens, num_steps):
    figures = {}
    for i in range(num_steps):
        at = str(i + 1)
        figures["accuracy", at] = 100 * mean(x["right"][i] for x in tokens)
        figures["ahead", at] = 100 * mean(all(x["right"][: i + 1]) for x in tokens)
        figures["nll", at] = mean(x["nll"][i] for x in tokens)
    return figures


def of_road(tokens):
    groups = {"all": range(1000), **{str(x): [x] for x in range(1, 6)}, **GROUPS}
    figures = {}
    for at, positions in groups.items():
        here = [x for x in tokens if x["position"] in positions]
        for name in ("gold_prefix", "own_prefix", "on_road"):
            if here and here[0][name] is not None:
                figures[name, at] = 100 * mean(x[name] for x in here)
    return figures


def of_words(tokens):
    names = ("cosine_predicted", "cosine_gold", "norm_ratio", "entropy", "confidence")
    figures = {(name, ""): mean(x[name] for x in tokens) for name in (*names, "probability")}
    ranks = sorted(x["rank"] for x in tokens)
    middle = len(ranks) // 2
    median = ranks[middle] if len(ranks) % 2 else (ranks[middle - 1] + ranks[middle]) / 2
    figures["median_rank", ""] = median
    figures["reciprocal_rank", ""] = mean(1 / rank for rank in ranks)
    gap = 0
    for number in range(1, 16):  # ((m - 1) / 15, m / 15]
        bin_ = [x for x in tokens if (number - 1) / 15 < x["confidence"] <= number / 15]
        if bin_:
            right, sure = (mean(x[name] for x in bin_) for name in ("gold_prefix", "confidence"))
            share = len(bin_) / len(tokens)
            gap += share * abs(right - sure)
            figures["bin_share", str(number)] = 100 * share
            figures["bin_accuracy", str(number)] = 100 * right
            figures["bin_confidence", str(number)] = 100 * sure
    figures["calibration_error", ""] = 100 * gap
    return figures


def of_texts(texts):
    figures = {}
    for n in range(1, 5):
        everywhere, repeated = [], 0
        for text in texts:
            before = []
            for start in range(len(text) - n + 1):
                gram = text[start : start + n]
                repeated += gram in before
                before.append(gram)
            everywhere += before
        if everywhere:
            different = [x for i, x in enumerate(everywhere) if x not in everywhere[:i]]
            figures["repeated", str(n)] = 100 * repeated / len(everywhere)
            figures["distinct", str(n)] = 100 * len(different) / len(everywhere)
    if texts:
        figures["words", ""] = mean(len(text) for text in texts)
    return figures


def assert_alike(actual, expected):
    assert actual.keys() == expected.keys()
    wrong = {x: (actual[x], y) for x, y in expected.items() if abs(actual[x] - y) > 2e-3}
    assert wrong == {}


@pytest.mark.parametrize(
    ("feedback", "slow"), [("hidden", None), ("argmax", reference.argmax), ("topk", None)]
)
def test_every_number_is_that_of_plain_code(data, stock, learned, tmp_path, feedback, slow):
    slow = reference.topk(4) if feedback == "topk" else slow
    paths = {"stock": stock, "teaforn": learned[-1]}
    if feedback != "hidden":
        del paths["stock"]
    options = ["--steps", "4", "--feedback", feedback, "--max-tokens", "100"]
    result = measured(data, tmp_path, *paths.items(), options=options)
    with torch.no_grad():
        for cell, path in zip(result["cells"], paths.values(), strict=True):
            figures, gold = plain(path, data, num_steps=4, feedback=slow)
            assert 5 < figures["accuracy", "1"] < 95 or path == stock
            assert_alike(as_dict(cell["figures"]), figures)
            assert_alike(as_dict(result["references"]), gold)


@pytest.mark.parametrize(("prompt_end", "once"), [("=>", True), ("=>", False), (None, True)])
def test_a_language_model_goes_on_from_its_prompts_if_there_are_any(
    prompted, prompting, tmp_path, monkeypatch, prompt_end, once
):
    if not once:  # as with fairseq's layers, prompts go through every step
        monkeypatch.setattr(TransformerAdapter, "takes_prompts", False)
    options = ["--teaforn-prompt-end", prompt_end] if prompt_end else []
    result = measured(prompted, tmp_path, ("lm", prompting), options=options)
    with torch.no_grad():
        figures, gold = plain(prompting, prompted, num_steps=3, prompt_end=prompt_end)
    assert ("on_road", "all") in figures or not prompt_end
    assert_alike(as_dict(result["cells"][0]["figures"]), figures)
    assert_alike(as_dict(result["references"]), gold)


def test_a_stock_language_model_is_measured_as_its_twin(prompted, prompting, edited, tmp_path):
    def rename(state):
        state["cfg"]["model"]["_name"] = "transformer_lm"
        del state["cfg"]["model"]["teaforn_unshared"]

    systems = ("twin", prompting), ("stock", edited(prompting, rename))
    twin, stock = measured(prompted, tmp_path, *systems)["cells"]
    assert twin["figures"] == stock["figures"]


def test_a_checkpoint_as_fairseq_wrote_it_before_2021(data, stock, edited, tmp_path):
    def age(state):
        state["args"], state["cfg"] = state["cfg"]["model"], None

    new, old = measured(data, tmp_path, ("new", stock), ("old", edited(stock, age)))["cells"]
    assert new["figures"] == old["figures"]


def test_an_exported_checkpoint_is_measured_as_its_twin(data, learned, tmp_path):
    commands.export(learned[0], tmp_path / "exported.pt")
    systems = ("twin", learned[0]), ("exported", tmp_path / "exported.pt")
    twin, exported = measured(data, tmp_path, *systems)["cells"]
    assert twin["figures"] == exported["figures"]


def test_the_command_compares_seed_by_seed_and_writes_all_files(data, stock, learned, tmp_path):
    systems = ["--system", "base", learned[0], stock, "--system", "new", learned[1], learned[2]]
    words = ["python", "-m", "teaforn_fairseq.exposure", data, *systems, "--out", tmp_path / "out"]
    printed = run(*words, "--cpu", "--gen-subset", "valid", env=CHECKOUT)
    assert f"{tmp_path}/out: exposure.tsv, exposure.json, exposure.md, exposure.png" in printed
    result = json.loads((tmp_path / "out/exposure.json").read_text())
    a, b, c, d = (as_dict(cell["figures"])["nll", "2"] for cell in result["cells"])
    base, new = (x for x in result["summary"] if (x["figure"], x["at"]) == ("nll", "2"))
    assert base["difference"] is None and base["mean"] == pytest.approx((a + b) / 2)
    assert new["sd"] == pytest.approx(abs(c - d) / 2**0.5)
    middle, half = (c - a + d - b) / 2, 12.7062 * abs((c - a) - (d - b)) / 2  # t(0.975, 1)
    found = [new[x] for x in ("difference", "low", "high")]
    assert found == pytest.approx([middle, middle - half, middle + half], rel=1e-4)
    table = [line.split("\t") for line in (tmp_path / "out/exposure.tsv").read_text().splitlines()]
    assert table[0] == ["figure", "at", "label", "checkpoint", "value"]
    (value,) = (x[4] for x in table if x[:4] == ["nll", "2", "new", str(learned[2])])
    assert float(value) == pytest.approx(d, rel=1e-5)
    assert any(x[:4] == ["distinct", "1", "(references)", ""] for x in table)
    page = (tmp_path / "out/exposure.md").read_text()
    assert f"| step 2: bits a token | {(a + b) / 2:.3f} (sd {abs(a - b) / 2**0.5:.3f})" in page
    assert f"{middle:+.3f} [{middle - half:+.3f}, {middle + half:+.3f}] |" in page
    assert (tmp_path / "out/exposure.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_a_cell_that_fails_names_its_checkpoint_and_leaves_the_others(
    data, learned, edited, tmp_path, capsys
):
    broken = edited(learned[1], lambda state: state["model"].pop("decoder.layers.0.fc1.weight"))
    with pytest.raises(SystemExit, match="^error: 1 of 4 checkpoints failed; see the lines above"):
        measured(data, tmp_path, ("a", learned[0], broken), ("b", learned[1], learned[2]))
    assert f"a: {broken}: failed: RuntimeError: " in capsys.readouterr().err
    result = json.loads((tmp_path / "exposure.json").read_text())
    assert [cell["error"] is None for cell in result["cells"]] == [True, False, True, True]
    a, _, b, _ = (as_dict(cell["figures"]) for cell in result["cells"])
    (new,) = (
        x for x in result["summary"] if (x["figure"], x["label"], x["at"]) == ("nll", "b", "1")
    )
    assert new["difference"] == pytest.approx(b["nll", "1"] - a["nll", "1"])
    assert new["low"] is None
    assert str(broken) in (tmp_path / "exposure.md").read_text()
