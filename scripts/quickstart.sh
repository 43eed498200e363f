#!/usr/bin/env bash
# From nothing to a table of scores: teacher forcing and TeaForN on numerals and dates.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/stages.sh"

usage() {
    cat <<TEXT
Usage: scripts/quickstart.sh [FAIRSEQ-TRAIN OPTIONS]

Sets up a virtual environment, writes a corpus of numerals and dates (English to German), trains
teacher forcing and TeaForN (N = 2) from the same seed, generates with beams 1 and 4 and prints
sacreBLEU and training time. A few minutes on two CPU cores; a GPU is used when there is one.
Safe to run again: what is done is skipped, an interrupted training goes on.

Environment (defaults):
  OUT=runs/quickstart   where everything is written
  SEED=1                of the corpus and of both trainings
  VOCAB=400             joint subwords
  MAX_UPDATE=1000       updates of each training
  MAX_TOKENS=2000       tokens of a batch
  PYTHON=python3        Python 3.11 or 3.12 for the virtual environment
  VENV=.venv            the virtual environment; none: the active one as it is
Further arguments are passed on to both fairseq-train runs.
TEXT
}

case ${1:-} in -h | --help) usage && exit ;; esac

OUT=${OUT:-$ROOT/runs/quickstart}
SEED=${SEED:-1}
VOCAB=${VOCAB:-400}
MAX_UPDATE=${MAX_UPDATE:-1000}
MAX_TOKENS=${MAX_TOKENS:-2000}

setup_venv demo

same_settings "$OUT/raw.settings" "seed $SEED"
if [[ ! -d $OUT/raw ]]; then
    note "writing numerals and dates to $OUT/raw"
    rm -rf "$OUT/raw.partial"
    python "$ROOT/scripts/numerals_corpus.py" --seed "$SEED" --out "$OUT/raw.partial"
    mv "$OUT/raw.partial" "$OUT/raw"
fi
preprocess "$OUT/raw" "$OUT/data" en de "$VOCAB"

SIZES=(
    --encoder-layers 2 --encoder-embed-dim 128 --encoder-ffn-embed-dim 256
    --decoder-layers 2 --decoder-embed-dim 128 --decoder-ffn-embed-dim 256
    --encoder-attention-heads 4 --decoder-attention-heads 4 --share-all-embeddings --dropout 0
)
OPTIMIZATION=(
    --optimizer adam --adam-betas "(0.9, 0.98)" --lr 0.004 --warmup-updates 200
    --lr-scheduler polynomial_decay --total-num-update "$MAX_UPDATE" --label-smoothing 0.1
    --max-tokens "$MAX_TOKENS" --no-epoch-checkpoints --best-checkpoint-metric nll_loss
    --seed "$SEED" --distributed-world-size 1
)
for n in 1 2; do
    train "$OUT/data/bin" "$OUT/n$n" "$MAX_UPDATE" --arch teaforn_transformer "${SIZES[@]}" \
        --criterion teaforn_cross_entropy --teaforn-n "$n" "${OPTIMIZATION[@]}" "$@"
    for beam in 1 4; do
        generate "$OUT/data/bin" "$OUT/n$n/checkpoint_best.pt" "$OUT/n$n" "$beam" \
            --max-tokens 4096 --remove-bpe sentencepiece
    done
done

note "numerals and dates, English to German, $(wc -l <"$OUT/raw/test.de") test sentences"
python "$ROOT/scripts/report.py" --reference "$OUT/raw/test.de" --beams 1,4 \
    --json "$OUT/report.json" \
    --run "teacher forcing" "$OUT/n1" --run "TeaForN, N = 2" "$OUT/n2"
