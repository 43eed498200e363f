"""Scoring a text takes every label, also where a literal ``<pad>`` stands inside a sentence."""

import re

import pytest
import torch
from commands import PLUGIN, TEAFORN, run
from fairseq.data.language_pair_dataset import collate
from fairseq.data.monolingual_dataset import collate as collate_streams
from fairseq.sequence_scorer import SequenceScorer
from padded_text import LANGUAGE_MODEL, MORE, PAIR, write_data
from versions import NEEDS_SAFE_SOFTMAX

PAD, EOS = 1, 2
TARGETS = [[PAD, 5, EOS], [5, PAD, 6, 7, EOS], [6, 7, PAD, PAD, EOS], [8, 9, 4, 5, 6, EOS]]
WIDTHS = {"decoder_input_dim": 8, "decoder_output_dim": 8}


LEFT = "padded on the left"


@pytest.fixture(
    params=["translation", pytest.param(LEFT, marks=NEEDS_SAFE_SOFTMAX), "language model"]
)
def scored(request, build, task):
    """A model and a batch of the targets."""
    if request.param == "language model":
        samples = [
            {"id": n, "source": torch.tensor([8, *y[:-1]]), "target": torch.tensor(y)}
            for n, y in enumerate(TARGETS)
        ]
        return build("teaforn_transformer_lm", **WIDTHS), collate_streams(samples, PAD, EOS)
    samples = [
        {"id": n, "source": torch.tensor([4, 5, EOS]), "target": torch.tensor(y)}
        for n, y in enumerate(TARGETS)
    ]
    left = request.param == LEFT
    return build(), collate(samples, PAD, EOS, left_pad_target=left)


@pytest.mark.parametrize("options", [{}, {"softmax_batch": 3}], ids=["at once", "in parts"])
@pytest.mark.parametrize("copies", [1, 2])
def test_each_label_has_its_own_score(scored, task, options, copies):
    model, sample = scored
    target = sample["target"]
    model.eval()
    with torch.no_grad():
        scores = model.get_normalized_probs(model(**sample["net_input"]), log_probs=True)
    expected = scores.gather(2, target[..., None])[..., 0]
    scorer = SequenceScorer(task.target_dictionary, **options)
    for row, (hypothesis,) in enumerate(scorer.generate([model] * copies, dict(sample))):
        real = target[row].ne(PAD)
        assert hypothesis["tokens"].tolist() == target[row][real].tolist()
        torch.testing.assert_close(hypothesis["positional_scores"], expected[row][real])
        torch.testing.assert_close(hypothesis["score"], expected[row][real].mean())
    assert sample["target"] is target


def test_slots_before_the_start_are_context(build, task):
    """As ``--context-window`` has them."""
    model = build("teaforn_transformer_lm", **WIDTHS).eval()
    tokens = torch.tensor([[4, 5, 6, 7, PAD], [4, 5, 6, 7, 8]])
    target = torch.tensor([[PAD, PAD, 6, EOS, PAD], [PAD, 5, PAD, 6, EOS]])
    net_input = {"src_tokens": tokens, "src_lengths": torch.tensor([4, 5])}
    sample = {"net_input": net_input, "target": target, "start_indices": [2, 1]}
    scores = model.get_normalized_probs(model(**net_input), log_probs=True).detach()
    first, second = SequenceScorer(task.target_dictionary).generate([model], sample)
    assert first[0]["tokens"].tolist() == [6, EOS]
    torch.testing.assert_close(
        first[0]["positional_scores"], torch.stack([scores[0, 2, 6], scores[0, 3, EOS]])
    )
    assert second[0]["tokens"].tolist() == [5, 6, EOS]
    torch.testing.assert_close(
        second[0]["positional_scores"],
        torch.stack([scores[1, 1, 5], scores[1, 3, 6], scores[1, 4, EOS]]),
    )


@NEEDS_SAFE_SOFTMAX  # the stream begins with a padding symbol
def test_eval_lm_says_what_validation_says(tmp_path):
    """Validation divides by the padding symbols too: the sums are the same."""
    pairs = [PAIR, *MORE] * 3
    data = write_data(tmp_path, pairs) / "lm"
    words = " ".join(target for _, target in pairs).split()
    labels, slots = len(pairs) + len(words) - words.count("<pad>"), len(pairs) + len(words)
    plugin = ["--user-dir", PLUGIN, "--cpu"]
    small = ["--arch", "teaforn_transformer_lm_gpt2_tiny", "--optimizer", "adam", "--lr", "0.01"]
    printed = run(
        *("fairseq-train", data, *plugin, *LANGUAGE_MODEL, *small, *TEAFORN, "--max-update", "2"),
        *("--max-tokens", "60", "--required-batch-size-multiple", "1", "--save-dir", tmp_path),
    )
    (*_, valid) = re.findall(r"\| valid \|.* \| nll_loss ([\d.]+)", printed)
    last = tmp_path / "checkpoint_last.pt"
    printed = run(
        *("fairseq-eval-lm", data, *plugin, "--path", last, "--tokens-per-sample", "6"),
        *("--gen-subset", "valid"),
    )
    (scored,) = re.findall(r"Loss \(base 2\): ([\d.]+)", printed)
    assert float(scored) * labels == pytest.approx(float(valid) * slots, rel=1e-3)
