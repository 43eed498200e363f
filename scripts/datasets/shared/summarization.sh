# shellcheck shell=bash disable=SC2034
# Summarization from a pretrained BART (fairseq:examples/bart/README.summarization.md). Sourced by the
# data sets, which set ARCHIVES and EXTRACT before it.

SRC=src TGT=tgt
setting SIZE large "base or large"
[[ $SIZE == base || $SIZE == large ]] || die "SIZE must be base or large; received '$SIZE'."
BART=bart.$SIZE
ARCH=bart_$SIZE
# The sums of GPT-2's subwords are in openai/tiktoken, tiktoken_ext/openai_public.py. Nobody has
# published one of BART's archives.
GPT2=https://openaipublic.blob.core.windows.net/gpt-2/encodings/main
ARCHIVES+=(
    "$BART.tar.gz https://dl.fbaipublicfiles.com/fairseq/models/$BART.tar.gz - -"
    "encoder.json $GPT2/encoder.json 1042301 sha256:196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"
    "vocab.bpe $GPT2/vocab.bpe 456318 sha256:1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
)
default OUT "$ROOT/runs/$DATASET"
default BATCH $((8 * 2048 * 4))
default MAX_TOKENS 2048
default MAX_UPDATE 20000
default BEAMS "1 4 8"
setting LR 3e-05 "learning rate"
setting WARMUP 500 "updates"
TRAINING=(
    --finetune-from-model "$OUT/$BART/model.pt" --task translation --truncate-source
    --share-all-embeddings --share-decoder-input-output-embed --layernorm-embedding
    --optimizer adam --adam-betas "(0.9, 0.999)" --adam-eps 1e-08 --weight-decay 0.01
    --clip-norm 0.1 --lr-scheduler polynomial_decay --lr "$LR" --warmup-updates "$WARMUP"
    --total-num-update "$MAX_UPDATE" --dropout 0.1 --attention-dropout 0.1 --label-smoothing 0.1
    --skip-invalid-size-inputs-valid-test
)
GENERATION=(
    --truncate-source --bpe gpt2 --gpt2-encoder-json "$OUT/$BART/encoder.json"
    --gpt2-vocab-bpe "$OUT/$BART/vocab.bpe" --no-repeat-ngram-size 3 "${LENGTHS[@]}"
)
SCORING=(--metrics rouge)
