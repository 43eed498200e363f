# shellcheck shell=bash
# From raw text to hypotheses: the stages that all scripts share. Sourced after lib.sh.
# They write aside and move into place, so that what is there is whole; a second run skips it.

# preprocess RAW OUT SRC TGT VOCAB [SUBWORDS LEARN OPTIONS]: RAW/{train,valid,test}.{SRC,TGT} to
# OUT/bin and OUT/spm.model.
preprocess() {
    local raw=$1 out=$2 src=$3 tgt=$4 vocab=$5
    shift 5
    same_settings "$out/settings" "$src-$tgt, $vocab subwords"
    finished "$out/bin" && return
    note "learning $vocab joint subwords and binarising"
    run rm -rf "$out/partial"
    run mkdir -p "$out/partial/text"
    run python "$ROOT/scripts/subwords.py" learn --input "$raw/train.$src" "$raw/train.$tgt" \
        --vocab-size "$vocab" --model "$out/partial/spm.model" "$@"
    encode "$raw" "$out/partial/text" "$src" "$tgt" --model "$out/partial/spm.model"
    binarise "$out/partial" "$src" "$tgt" --joined-dictionary
    run mv "$out/partial/spm.model" "$out/spm.model"
    run mv "$out/partial/bin" "$out/bin"
    run rm -rf "$out/partial"
}

# preprocess_gpt2 RAW OUT SRC TGT BART: the same with GPT-2's subwords and BART's dictionary.
preprocess_gpt2() {
    local raw=$1 out=$2 src=$3 tgt=$4 bart=$5
    finished "$out/bin" && return
    note "splitting into GPT-2's subwords and binarising"
    run rm -rf "$out/partial"
    run mkdir -p "$out/partial/text"
    encode "$raw" "$out/partial/text" "$src" "$tgt" \
        --gpt2-encoder-json "$bart/encoder.json" --gpt2-vocab-bpe "$bart/vocab.bpe"
    binarise "$out/partial" "$src" "$tgt" --srcdict "$bart/dict.txt" --tgtdict "$bart/dict.txt"
    run mv "$out/partial/bin" "$out/bin"
    run rm -rf "$out/partial"
}

# encode RAW TEXT SRC TGT OPTIONS...: all splits in both languages.
encode() {
    local raw=$1 text=$2 src=$3 tgt=$4 split files=()
    shift 4
    for split in train valid test; do
        files+=("$raw/$split.$src" "$raw/$split.$tgt")
    done
    run python "$ROOT/scripts/subwords.py" encode "$@" --workers "${WORKERS:-1}" \
        --input "${files[@]}" --out "$text"
}

# binarise FOLDER SRC TGT OPTIONS...: FOLDER/text to FOLDER/bin.
binarise() {
    local folder=$1 src=$2 tgt=$3
    shift 3
    run fairseq-preprocess --source-lang "$src" --target-lang "$tgt" \
        --trainpref "$folder/text/train" --validpref "$folder/text/valid" \
        --testpref "$folder/text/test" --destdir "$folder/bin" --workers "${WORKERS:-1}" "$@"
}

# train BIN DIR MAX_UPDATE ARGS...: fairseq-train, resumed where it stopped. MACHINE holds options
# that may change between one start and the next, because the effective batch BATCH stays.
train() {
    local bin=$1 dir=$2 max_update=$3
    shift 3
    same_settings "$dir/settings" "$*${BATCH:+, effective batch $BATCH}"
    finished "$dir/trained" && [[ $(<"$dir/trained") == "$max_update" ]] && return
    # A training that was killed between its last checkpoint and its mark, or ran elsewhere.
    if [[ -z $DRY_RUN && -e $dir/checkpoint_last.pt ]] &&
        (($(updates_of "$dir/checkpoint_last.pt") >= max_update)); then
        run_to "$dir/trained" echo "$max_update"
        return
    fi
    note "training $dir"
    run fairseq-train "$bin" --user-dir "$PLUGIN" --save-dir "$dir" --max-update "$max_update" \
        --required-batch-size-multiple 1 ${MACHINE[@]+"${MACHINE[@]}"} "$@" ||
        die "training stopped, for the reason above. What it saved in $dir is whole: run again and" \
            "it goes on from there."
    [[ -n $DRY_RUN ]] || run_to "$dir/trained" echo "$max_update"
}

updates_of() {
    PYTHONPATH=$ROOT/scripts python -c \
        'import pathlib, report, sys; print(report.training(pathlib.Path(sys.argv[1]))[1])' "$1"
}

# generate BIN CHECKPOINT DIR BEAM ARGS...: hypotheses for the whole test set.
generate() {
    local bin=$1 checkpoint=$2 dir=$3 beam=$4
    shift 4
    [[ -z $DRY_RUN && $dir/beam$beam.txt -nt $dir/trained ]] && return
    note "generating with beam $beam from $checkpoint"
    run_to "$dir/beam$beam.txt" fairseq-generate "$bin" --user-dir "$PLUGIN" \
        --path "$checkpoint" --beam "$beam" --required-batch-size-multiple 1 "$@"
}
