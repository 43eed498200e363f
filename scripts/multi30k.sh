#!/usr/bin/env bash
# Multi30k, from raw text to sacreBLEU, with teacher forcing or TeaForN.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

MIRROR=${MIRROR:-https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw}
DATA=${DATA:-}
VOCAB=${VOCAB:-3000}
N=${N:-2}
DISCOUNT=${DISCOUNT:-0.5}
LAYERS=${LAYERS:-4}
WIDTH=${WIDTH:-128}
FFN=${FFN:-256}
HEADS=${HEADS:-4}
DROPOUT=${DROPOUT:-0.3}
LR=${LR:-0.005}
WARMUP=${WARMUP:-2000}
LABEL_SMOOTHING=${LABEL_SMOOTHING:-0.1}
MAX_TOKENS=${MAX_TOKENS:-4096}
MAX_UPDATE=${MAX_UPDATE:-8000}
SEED=${SEED:-1}
BEAMS=${BEAMS:-1 5}

usage() {
    cat <<TEXT
Usage: [SETTING=VALUE ...] scripts/multi30k.sh SRC TGT [FAIRSEQ-TRAIN OPTIONS]

Trains SRC to TGT (two of en, de, fr) on Multi30k's 29,000 pairs and scores test_2016_flickr
with sacreBLEU on raw references. Takes the checkpoint with the lowest nll_loss on the validation
set. Safe to run again: what is done is skipped, an interrupted training goes on.

Settings (environment, with their present values):
  DATA=$DATA   folder that holds train.en.gz and so on; empty: download
  MIRROR=$MIRROR
  OUT=runs/multi30k-SRC-TGT   where everything is written
  VOCAB=$VOCAB   joint subwords
  N=$N   unroll steps; 1 is teacher forcing
  DISCOUNT=$DISCOUNT   weight of step i is DISCOUNT^(i-1)
  LAYERS=$LAYERS WIDTH=$WIDTH FFN=$FFN HEADS=$HEADS   of encoder and decoder
  DROPOUT=$DROPOUT LR=$LR WARMUP=$WARMUP LABEL_SMOOTHING=$LABEL_SMOOTHING
  MAX_TOKENS=$MAX_TOKENS MAX_UPDATE=$MAX_UPDATE SEED=$SEED
  BEAMS="$BEAMS"
  PYTHON=python3   Python 3.11 or 3.12 for the virtual environment VENV=.venv
Further arguments are passed on to fairseq-train.
TEXT
}

# fetch FILE: download into OUT/download, whole and with the right check sum or not at all.
fetch() {
    local folder=$OUT/download
    [[ -e $folder/$1 ]] && return
    mkdir -p "$folder"
    note "downloading $1"
    curl --fail --location --retry 3 --output "$folder/$1.partial" "$MIRROR/$1" ||
        die "MIRROR=$MIRROR: could not download $1. Try again, or set DATA to a folder with it."
    grep -q "^$(sha256 "$folder/$1.partial")  $1\$" "$ROOT/scripts/multi30k.sha256" ||
        die "MIRROR=$MIRROR: $1 is not the published file or only a part of it. Try again."
    mv "$folder/$1.partial" "$folder/$1"
}

# check FILE: whole, in DATA or downloaded.
check() {
    [[ -n $DATA ]] || fetch "$1"
    [[ -e $SOURCE/$1 ]] || die "DATA=$DATA: no $1 there."
    gzip --test "$SOURCE/$1" || die "$SOURCE/$1 is damaged or incomplete. Fetch it again."
}

# corpus: OUT/raw with train, valid and test in both languages, as many lines in each.
corpus() {
    local published split language
    [[ -d $OUT/raw ]] && return
    for published in train val test_2016_flickr; do
        check "$published.$SRC.gz"
        check "$published.$TGT.gz"
        [[ $(lines "$published.$SRC") -gt 0 && $(lines "$published.$SRC") -eq \
            $(lines "$published.$TGT") ]] ||
            die "$SOURCE: $published has $(lines "$published.$SRC") lines in $SRC and" \
                "$(lines "$published.$TGT") in $TGT. They must be equally many, at least one."
    done
    rm -rf "$OUT/raw.partial"
    mkdir -p "$OUT/raw.partial"
    for split in train:train val:valid test_2016_flickr:test; do
        for language in "$SRC" "$TGT"; do
            gzip -dc "$SOURCE/${split%:*}.$language.gz" >"$OUT/raw.partial/${split#*:}.$language"
        done
    done
    mv "$OUT/raw.partial" "$OUT/raw"
}

lines() {
    gzip -dc "$SOURCE/$1.gz" | wc -l
}

sha256() {
    if command -v sha256sum >/dev/null; then
        sha256sum "$1"
    else
        shasum -a 256 "$1"
    fi | cut -d " " -f 1
}

case ${1:-} in -h | --help) usage && exit ;; esac
[[ $# -ge 2 && $1 =~ ^(en|de|fr)$ && $2 =~ ^(en|de|fr)$ && $1 != "$2" ]] ||
    die "SRC and TGT must be two of en, de, fr; received '${1:-}' '${2:-}'. See --help."
[[ -z $DATA || -d $DATA ]] || die "DATA=$DATA: no such folder."
SRC=$1 TGT=$2
shift 2
OUT=${OUT:-$ROOT/runs/multi30k-$SRC-$TGT}
SOURCE=${DATA:-$OUT/download}

corpus
setup_venv demo
preprocess "$OUT/raw" "$OUT/data" "$SRC" "$TGT" "$VOCAB"
RUN=$OUT/n$N-seed$SEED
train "$OUT/data/bin" "$RUN" "$MAX_UPDATE" \
    --arch teaforn_transformer --share-all-embeddings \
    --encoder-layers "$LAYERS" --encoder-embed-dim "$WIDTH" --encoder-ffn-embed-dim "$FFN" \
    --decoder-layers "$LAYERS" --decoder-embed-dim "$WIDTH" --decoder-ffn-embed-dim "$FFN" \
    --encoder-attention-heads "$HEADS" --decoder-attention-heads "$HEADS" --dropout "$DROPOUT" \
    --criterion teaforn_cross_entropy --teaforn-n "$N" --teaforn-discount "$DISCOUNT" \
    --label-smoothing "$LABEL_SMOOTHING" --optimizer adam --adam-betas "(0.9, 0.98)" \
    --lr "$LR" --lr-scheduler inverse_sqrt --warmup-updates "$WARMUP" \
    --max-tokens "$MAX_TOKENS" --seed "$SEED" \
    --no-epoch-checkpoints --best-checkpoint-metric nll_loss "$@"
for beam in $BEAMS; do
    generate "$OUT/data/bin" "$RUN" "$beam"
done
note "Multi30k $SRC-$TGT, test_2016_flickr, $(wc -l <"$OUT/raw/test.$TGT") sentences"
python "$ROOT/scripts/report.py" --reference "$OUT/raw/test.$TGT" --beams "${BEAMS// /,}" \
    --json "$RUN/report.json" --run "N = $N" "$RUN"
