# shellcheck shell=bash
# The settings of a recipe: environment first, then the data set's, then those here. Sourced after
# lib.sh.

SETTINGS=()
# What a data set leaves out.
# shellcheck disable=SC2034
BART='' TEST_SET='' VALID_EVERY=0 SIZE=${SIZE:-} SCORING=() GENERATION=() MACHINE=()

# default NAME VALUE: unless the environment has it.
default() {
    [[ -n ${!1:-} ]] || printf -v "$1" %s "$2"
}

# setting NAME VALUE DESCRIPTION: the same, and shown by --help.
setting() {
    default "$1" "$2"
    SETTINGS+=("  $1=${!1}   $3")
}

common_settings() {
    setting MIRROR "" "address to take all archives from, by their name; empty: their homes"
    setting DATA "" "folder that holds the archives; empty: download them"
    setting CHECKSUMS "" "file of lines 'SHA256  NAME' that stands in for the published check sums"
    setting CHECK_DISK 1 "0: only tell the disk that a stage needs"
    setting OUT "$ROOT/runs/$DATASET" "where everything is written"
    setting MAX_WORDS 0 "words of a sentence in training, 0: any"
    setting RATIO 0 "ratio of the characters of both sides, 0: any"
    setting DEDUPE 0 "1: keep the first of equal pairs"
    setting LOWERCASE 0 "1: train and generate in lower case"
    setting VOCAB 32000 "joint subwords (not with BART)"
    setting SPM_SENTENCES 0 "learn the subwords from so many sentences, 0: from all"
    setting WORKERS 1 "processes of the stage preprocess"
    setting N 2 "unroll steps; 1 is teacher forcing"
    setting DISCOUNT 0.5 "weight of step i is DISCOUNT^(i-1)"
    setting FEEDBACK "" "as --teaforn-feedback; empty: hidden"
    setting GPUS "$(count_gpus)" "of this machine; 0: CPU"
    setting BATCH 4096 "effective batch: tokens an update, kept when GPUS changes"
    setting MAX_TOKENS 4096 "of a batch on one GPU, source or target, whichever has more"
    setting UPDATE_FREQ "" "batches a GPU adds up; empty: BATCH / (GPUS x MAX_TOKENS)"
    [[ $GPUS =~ ^[0-9]+$ ]] || die "GPUS: must be a whole number; received '$GPUS'."
    setting FP16 "$((GPUS > 0))" "1: half precision, 0: not"
    setting MAX_UPDATE 100000 "updates"
    setting SAVE_INTERVAL 1000 "updates between two checkpoints"
    setting AVERAGE 0 "last checkpoints to average; 0: the one with the lowest nll_loss"
    setting SEED 1 "of the random choices"
    setting BEAMS "1 4" "beams to generate with"
    setting GENERATE_TOKENS 4096 "source tokens of a batch in generation"
}

count_gpus() {
    if command -v nvidia-smi >/dev/null; then
        nvidia-smi --list-gpus 2>/dev/null | grep -c "^GPU" || true
    else
        echo 0
    fi
}

# Every mistake that can be seen before work.
check_settings() {
    local name beam
    for name in MAX_WORDS WORKERS BATCH MAX_TOKENS MAX_UPDATE SAVE_INTERVAL AVERAGE SEED \
        SPM_SENTENCES GENERATE_TOKENS; do
        [[ ${!name} =~ ^[0-9]+$ ]] || die "$name: must be a whole number; received '${!name}'."
    done
    for name in BATCH MAX_TOKENS MAX_UPDATE SAVE_INTERVAL WORKERS ${UPDATE_FREQ:+UPDATE_FREQ}; do
        [[ ${!name} =~ ^[1-9][0-9]*$ ]] || die "$name: must be at least 1; received '${!name}'."
    done
    for name in DEDUPE LOWERCASE FP16 CHECK_DISK; do
        [[ ${!name} =~ ^[01]$ ]] || die "$name: must be 0 or 1; received '${!name}'."
    done
    [[ $RATIO =~ ^[0-9]+([.][0-9]+)?$ ]] || die "RATIO: must be a number; received '$RATIO'."
    for beam in $BEAMS; do
        [[ $beam =~ ^[1-9][0-9]*$ ]] || die "BEAMS: must be whole numbers; received '$BEAMS'."
    done
    [[ $N =~ ^(full|[1-9][0-9@,]*)$ ]] ||
        die "N: must be a number from 1 on, a schedule or full; received '$N'."
    [[ -z $FEEDBACK || $FEEDBACK =~ ^(hidden|topk|gumbel|sample|argmax)$ ]] ||
        die "FEEDBACK: must be hidden, topk, gumbel, sample or argmax; received '$FEEDBACK'."
    [[ -z $FEEDBACK || $N != 1 ]] ||
        die "FEEDBACK=$FEEDBACK: does nothing with N=1. Leave it out, or raise N."
    [[ $FP16 == 0 || $GPUS -gt 0 ]] || die "FP16=1: needs a GPU; received GPUS=0."
    [[ -z $DATA || -d $DATA ]] || die "DATA=$DATA: no such folder."
    [[ -z $CHECKSUMS || -f $CHECKSUMS ]] || die "CHECKSUMS=$CHECKSUMS: no such file."
    ((AVERAGE * SAVE_INTERVAL <= MAX_UPDATE)) ||
        die "AVERAGE=$AVERAGE: $MAX_UPDATE updates leave $((MAX_UPDATE / SAVE_INTERVAL))" \
            "checkpoints, one every SAVE_INTERVAL=$SAVE_INTERVAL. Average fewer or save more often."
    fit_batch
}

# UPDATE_FREQ from the effective batch, or the effective batch from a given UPDATE_FREQ.
fit_batch() {
    local processes=$((GPUS ? GPUS : 1)) batches=$((BATCH / MAX_TOKENS)) fit='' number
    if [[ -n $UPDATE_FREQ ]]; then
        BATCH=$((processes * MAX_TOKENS * UPDATE_FREQ))
        return
    fi
    ((BATCH % MAX_TOKENS == 0)) ||
        die "MAX_TOKENS=$MAX_TOKENS: must divide the effective batch BATCH=$BATCH, or set" \
            "UPDATE_FREQ, which wins."
    for ((number = 1; number <= batches; number++)); do
        ((batches % number == 0)) && fit+=" $number"
    done
    ((batches % processes == 0)) ||
        die "GPUS=$GPUS: must divide the $batches batches of MAX_TOKENS=$MAX_TOKENS that make up" \
            "BATCH=$BATCH. These fit:$fit. Or set UPDATE_FREQ, which wins."
    UPDATE_FREQ=$((batches / processes))
}

# fairseq-train's options that follow from the settings.
derive_options() {
    # shellcheck disable=SC2034
    RUN=$OUT/${SIZE:+$SIZE-}n$N-seed$SEED
    TEAFORN=(--criterion teaforn_cross_entropy --teaforn-n "$N")
    [[ $N == full ]] || TEAFORN+=(--teaforn-discount "$DISCOUNT")
    [[ -z $FEEDBACK ]] || TEAFORN+=(--teaforn-feedback "$FEEDBACK")
    SAVING=(--no-epoch-checkpoints --best-checkpoint-metric nll_loss)
    CHECKPOINT=$RUN/checkpoint_best.pt
    if ((AVERAGE)); then
        SAVING+=(--save-interval-updates "$SAVE_INTERVAL" --keep-interval-updates "$AVERAGE")
        # shellcheck disable=SC2034
        CHECKPOINT=$RUN/average.pt
    fi
    MACHINE=(--max-tokens "$MAX_TOKENS" --update-freq "$UPDATE_FREQ")
    MACHINE+=(--distributed-world-size "$((GPUS ? GPUS : 1))")
    ((GPUS)) || MACHINE+=(--cpu) GENERATION+=(--cpu)
    ((FP16)) && MACHINE+=(--fp16) GENERATION+=(--fp16)
    return 0
}

# tell_needs STAGE: disk, memory and time; stops when the disk is too small. The data set has
# NEEDS_<stage>="GB_OF_DISK GB_OF_MEMORY TIME".
tell_needs() {
    local name=NEEDS_$1 disk memory time folder=$OUT free
    read -r disk memory time <<<"${!name:-0 1 a minute}"
    note "$1: needs up to $disk GB of disk, $memory GB of memory, $time"
    [[ -n $DRY_RUN || $CHECK_DISK == 0 ]] && return
    until [[ -d $folder ]]; do folder=$(dirname "$folder"); done
    free=$(df -Pk "$folder" | awk 'NR == 2 { printf "%.1f", $4 * 1024 / 1e9 }')
    # What the stage wrote before counts twice in this; a stage that is done needs nothing.
    awk -v free="$free" -v disk="$disk" 'BEGIN { exit free < disk }' || complete "$1" ||
        die "OUT=$OUT: the stage $1 needs $disk GB of disk; free are $free GB. Free some, choose" \
            "another OUT, or set CHECK_DISK=0 to go on all the same."
}

complete() {
    case $1 in
        download | extract) [[ -d $OUT/raw && -e $OUT/$BART ]] ;;
        clean) [[ -d $OUT/clean ]] ;;
        preprocess) [[ -d $OUT/data/bin ]] ;;
        train) [[ -e $RUN/trained && $(<"$RUN/trained") == "$MAX_UPDATE" ]] ;;
        *) false ;;
    esac
}
