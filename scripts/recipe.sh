#!/usr/bin/env bash
# A data set, from download to score, with teacher forcing or TeaForN.
set -euo pipefail
SCRIPTS=$(dirname "${BASH_SOURCE[0]}")
. "$SCRIPTS/lib.sh"
. "$SCRIPTS/settings.sh"
. "$SCRIPTS/fetch.sh"
. "$SCRIPTS/stages.sh"
DATASETS=$ROOT/scripts/datasets
STAGES=(download extract clean preprocess train average generate score)

usage() {
    cat <<TEXT
Usage: [SETTING=VALUE ...] scripts/recipe.sh [--dry-run] DATASET [STAGE ...] [-- FAIRSEQ-TRAIN OPTIONS]

Takes a data set from download to score. Safe to run again: what is complete is skipped, what was
interrupted goes on or starts over. --dry-run prints every command and does nothing. Each stage
tells the disk, memory and time it needs before it starts.

DATASET: $(dataset_names)
STAGE: ${STAGES[*]} (default: all, in this order)

With a DATASET, --help shows its settings.
TEXT
    [[ -z ${DATASET:-} ]] && return
    printf '\nSettings of %s (environment, with their present values):\n' "$DATASET"
    printf '%s\n' "${SETTINGS[@]}"
    echo "  PYTHON=python3   Python 3.11 or 3.12 for the virtual environment VENV=.venv;"
    echo "                   VENV=none takes the active environment as it is"
}

dataset_names() {
    local file names=()
    for file in "$DATASETS"/*.sh; do
        file=${file##*/}
        names+=("${file%.sh}")
    done
    echo "${names[*]}"
}

stage_download() {
    local archive
    finished "$OUT/raw" && finished "$OUT/$BART" && return
    run mkdir -p "$OUT/download"
    for archive in "${ARCHIVES[@]}"; do
        # shellcheck disable=SC2086  # four words
        fetch $archive
    done
}

stage_extract() {
    [[ -n $BART ]] && extract_bart
    finished "$OUT/raw" && return
    need "$OUT/download" download
    run rm -rf "$OUT/raw.partial"
    run mkdir -p "$OUT/raw.partial"
    run python "$ROOT/scripts/extract.py" text --folder "$OUT/download" --out "$OUT/raw.partial" \
        --languages "$SRC" "$TGT" "${EXTRACT[@]}"
    run mv "$OUT/raw.partial" "$OUT/raw"
}

# The pretrained model, its dictionary and its subwords.
extract_bart() {
    local file
    finished "$OUT/$BART" && return
    need "$OUT/download" download
    run rm -rf "$OUT/$BART.partial"
    run mkdir -p "$OUT/$BART.partial"
    for file in model.pt dict.txt; do
        run python "$ROOT/scripts/extract.py" member "$OUT/download/$BART.tar.gz" \
            "$BART/$file" "$OUT/$BART.partial/$file"
    done
    run cp "$OUT/download/encoder.json" "$OUT/download/vocab.bpe" "$OUT/$BART.partial"
    run mv "$OUT/$BART.partial" "$OUT/$BART"
}

stage_clean() {
    local options=(--max-words "$MAX_WORDS" --ratio "$RATIO" --valid-every "$VALID_EVERY")
    [[ $DEDUPE == 1 ]] && options+=(--dedupe)
    [[ $LOWERCASE == 1 ]] && options+=(--lowercase)
    need "$OUT/raw" extract
    same_settings "$OUT/clean.settings" "${options[*]}"
    finished "$OUT/clean" && return
    run rm -rf "$OUT/clean.partial"
    run python "$ROOT/scripts/clean.py" --raw "$OUT/raw" --out "$OUT/clean.partial" \
        --languages "$SRC" "$TGT" "${options[@]}"
    run mv "$OUT/clean.partial" "$OUT/clean"
}

stage_preprocess() {
    need "$OUT/clean" clean
    if [[ -n $BART ]]; then
        preprocess_gpt2 "$OUT/clean" "$OUT/data" "$SRC" "$TGT" "$OUT/$BART"
    else
        # shellcheck disable=SC2153
        preprocess "$OUT/clean" "$OUT/data" "$SRC" "$TGT" "$VOCAB" --sentences "$SPM_SENTENCES"
    fi
}

stage_train() {
    need "$OUT/data/bin" preprocess
    [[ -n $DRY_RUN || $GPUS -le $(count_gpus) ]] ||
        die "GPUS=$GPUS: this machine has $(count_gpus). Set GPUS to at most that; the effective" \
            "batch stays."
    echo "effective batch: at most $BATCH tokens an update =" \
        "$((GPUS ? GPUS : 1)) $([[ $GPUS == 0 ]] && echo "CPU process" || echo "GPUs")" \
        "x MAX_TOKENS=$MAX_TOKENS x UPDATE_FREQ=$UPDATE_FREQ"
    train "$OUT/data/bin" "$RUN" "$MAX_UPDATE" --arch "teaforn_$ARCH" "${TRAINING[@]}" \
        "${TEAFORN[@]}" "${SAVING[@]}" --seed "$SEED" "${OPTIONS[@]}"
}

stage_average() {
    local number last=$((MAX_UPDATE / SAVE_INTERVAL * SAVE_INTERVAL)) found=()
    [[ $AVERAGE == 0 ]] && echo "AVERAGE=0: takes the checkpoint with the lowest nll_loss" && return
    need "$RUN/trained" train
    [[ -z $DRY_RUN && $CHECKPOINT -nt $RUN/trained ]] && return
    for ((number = last - (AVERAGE - 1) * SAVE_INTERVAL; number <= last; number += SAVE_INTERVAL)); do
        # The epoch in the name is known only after training.
        found+=("$(compgen -G "$RUN/checkpoint_*_$number.pt" || echo "$RUN/checkpoint_*_$number.pt")")
    done
    run python -m teaforn_fairseq.export --force "${found[@]}" "$CHECKPOINT"
}

stage_generate() {
    local beam
    need "$RUN/trained" train
    [[ $AVERAGE == 0 ]] || need "$CHECKPOINT" average
    for beam in $BEAMS; do
        generate "$OUT/data/bin" "$CHECKPOINT" "$RUN" "$beam" \
            --max-tokens "$GENERATE_TOKENS" "${GENERATION[@]}"
    done
}

stage_score() {
    local scoring=("${SCORING[@]}") beam
    for beam in $BEAMS; do
        need "$RUN/beam$beam.txt" generate
    done
    [[ -n $DRY_RUN && -n $TEST_SET || -e $OUT/raw/test-set ]] &&
        scoring+=(--test-set "$TEST_SET:$SRC-$TGT")
    [[ -n $DRY_RUN ]] || note "$TITLE, $(wc -l <"$OUT/raw/test.$TGT") sentences"
    run python "$ROOT/scripts/report.py" --reference "$OUT/raw/test.$TGT" --beams "${BEAMS// /,}" \
        --json "$RUN/report.json" --run "N = $N" "$RUN" "${scoring[@]}"
}

# need PATH STAGE: what an earlier stage has left.
need() {
    [[ -n $DRY_RUN || -e $1 ]] || die "$1 is not there. Run the stage $2 first."
}

HELP='' DATASET='' WANTED=() OPTIONS=()
while (($#)); do
    case $1 in
        -h | --help) HELP=1 ;;
        --dry-run) DRY_RUN=1 ;;
        --) shift && OPTIONS=("$@") && break ;;
        -*) die "unknown option $1. Options of fairseq-train go behind --. See --help." ;;
        *) if [[ -z $DATASET ]]; then DATASET=$1; else WANTED+=("$1"); fi ;;
    esac
    shift
done
[[ -z $DATASET && -n $HELP ]] && usage && exit
[[ -n $DATASET && " $(dataset_names) " == *" $DATASET "* ]] ||
    die "DATASET must be one of: $(dataset_names); received '$DATASET'. See --help."
for stage in ${WANTED[@]+"${WANTED[@]}"}; do
    [[ " ${STAGES[*]} " == *" $stage "* ]] ||
        die "STAGE must be one of: ${STAGES[*]}; received '$stage'. See --help."
done
# shellcheck source=/dev/null
. "$DATASETS/$DATASET.sh"
common_settings
[[ -n $HELP ]] && usage && exit
check_settings
derive_options
[[ -n $DRY_RUN ]] || setup_venv recipes
# The plugin as it is here, installed or not; report.py needs sacrebleu only.
export PYTHONPATH=$ROOT${PYTHONPATH:+:$PYTHONPATH}

[[ ${#WANTED[@]} -gt 0 ]] || WANTED=("${STAGES[@]}")
for stage in "${STAGES[@]}"; do
    [[ " ${WANTED[*]} " == *" $stage "* ]] || continue
    tell_needs "$stage"
    "stage_$stage"
done
