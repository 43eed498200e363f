# shellcheck shell=bash
# What the recipes share: set-up, and the road from raw text to scores. Sourced, never run.
# Stages write aside and move into place, so that what is there is whole; a second run skips it.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PLUGIN=$ROOT/teaforn_fairseq
VENV=${VENV:-$ROOT/.venv}

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

note() {
    printf '\n== %s\n' "$*"
}

# The first of $PYTHON or the usual names that is a supported Python.
find_python() {
    local python candidates=(python3 python3.12 python3.11)
    [[ -n ${PYTHON:-} ]] && candidates=("$PYTHON")
    for python in "${candidates[@]}"; do
        if "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
            2>/dev/null; then
            echo "$python"
            return
        fi
    done
    die "Python 3.11 or 3.12 is needed; received ${PYTHON:-python3}:" \
        "$("${PYTHON:-python3}" --version 2>&1 | head -n 1). Install one of them and set" \
        "PYTHON=/path/to/python3.11."
}

# setup_venv EXTRAS: a virtual environment with the tested set, made or brought up to date.
setup_venv() {
    local python stamp wanted
    python=$(find_python) || exit 1
    stamp=$VENV/installed-$1
    wanted=$(cd "$ROOT" && cat setup.py pyproject.toml constraints.txt teaforn_fairseq/*.py \
        teaforn_fairseq/*/*.py | cksum)
    if [[ ! -e $stamp || $(<"$stamp") != "$wanted" ]]; then
        note "installing into $VENV"
        "$python" -m venv "$VENV"
        "$VENV/bin/python" -m pip install --quiet --constraint "$ROOT/constraints.txt" "${ROOT}[$1]"
        echo "$wanted" >"$stamp"
    fi
    PATH=$VENV/bin:$PATH
}

# same_settings FILE SETTINGS: refuse to mix results of different settings in one folder.
same_settings() {
    if [[ ! -e $1 ]]; then
        mkdir -p "$(dirname "$1")"
        echo "$2" >"$1"
    elif [[ $(<"$1") != "$2" ]]; then
        die "$(dirname "$1") holds results of other settings. There: $(<"$1"). Now: $2." \
            "Choose another OUT, or remove that folder."
    fi
}

# preprocess RAW OUT SRC TGT VOCAB: RAW/{train,valid,test}.{SRC,TGT} to OUT/bin and OUT/spm.model.
preprocess() {
    local raw=$1 out=$2 src=$3 tgt=$4 vocab=$5 split language
    same_settings "$out/settings" "$src-$tgt, $vocab subwords"
    [[ -d $out/bin ]] && return
    note "learning $vocab joint subwords and binarising"
    rm -rf "$out/partial"
    mkdir -p "$out/partial/text"
    python "$ROOT/scripts/subwords.py" learn --input "$raw/train.$src" "$raw/train.$tgt" \
        --vocab-size "$vocab" --model "$out/partial/spm.model"
    for split in train valid test; do
        for language in "$src" "$tgt"; do
            python "$ROOT/scripts/subwords.py" encode --model "$out/partial/spm.model" \
                <"$raw/$split.$language" >"$out/partial/text/$split.$language"
        done
    done
    fairseq-preprocess --source-lang "$src" --target-lang "$tgt" --joined-dictionary \
        --trainpref "$out/partial/text/train" --validpref "$out/partial/text/valid" \
        --testpref "$out/partial/text/test" --destdir "$out/partial/bin"
    mv "$out/partial/spm.model" "$out/spm.model"
    mv "$out/partial/bin" "$out/bin"
    rm -rf "$out/partial"
}

# train BIN DIR MAX_UPDATE ARGS...: fairseq-train, resumed where it stopped.
train() {
    local bin=$1 dir=$2 max_update=$3
    shift 3
    same_settings "$dir/settings" "$*"
    [[ -e $dir/trained && $(<"$dir/trained") == "$max_update" ]] && return
    note "training $dir"
    fairseq-train "$bin" --user-dir "$PLUGIN" --save-dir "$dir" --max-update "$max_update" \
        --required-batch-size-multiple 1 "$@"
    echo "$max_update" >"$dir/trained"
}

# generate BIN DIR BEAM: hypotheses of the best checkpoint for the whole test set.
generate() {
    local bin=$1 dir=$2 beam=$3
    [[ $dir/beam$beam.txt -nt $dir/trained ]] && return
    note "generating with beam $beam from $dir"
    fairseq-generate "$bin" --user-dir "$PLUGIN" --path "$dir/checkpoint_best.pt" \
        --beam "$beam" --max-tokens 4096 --required-batch-size-multiple 1 \
        --remove-bpe sentencepiece >"$dir/beam$beam.partial"
    mv "$dir/beam$beam.partial" "$dir/beam$beam.txt"
}
