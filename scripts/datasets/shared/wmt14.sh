# shellcheck shell=bash disable=SC2034
# WMT14 from English, as fairseq trains it. Sourced by the two data sets, which set TGT, PAIR (as in
# the archives' names), TEST_PAIR (as in the test set's) and BIG_ARCH, BIG_DROPOUT.

SRC=en
TITLE="WMT14 $SRC-$TGT, newstest2014"
TEST_SET=wmt14/full
# Sizes and sums: tensorflow/datasets, tensorflow_datasets/url_checksums/wmt15_translate.txt and
# wmt14_translate.txt. Test set: the MD5 sum in sacreBLEU's own list.
ARCHIVES=(
    "training-parallel-europarl-v7.tgz http://www.statmt.org/wmt13/training-parallel-europarl-v7.tgz 657632379 sha256:0224c7c710c8a063dfd893b0cc0830202d61f4c75c17eb8e31836103d27d96e7"
    "training-parallel-commoncrawl.tgz http://www.statmt.org/wmt13/training-parallel-commoncrawl.tgz 918311367 sha256:c7a74e2ea01ac6c920123108627e35278d4ccb5701e15428ffa34de86fa3a9e5"
    "training-parallel-nc-v9.tgz http://www.statmt.org/wmt14/training-parallel-nc-v9.tgz 80418416 sha256:cb8953f292298e6877ae433c98912b927cb0766b303f4540512ddd286c748485"
    "dev.tgz http://data.statmt.org/wmt19/translation-task/dev.tgz 38654961 sha256:7a7deccf82ebb05ba508dba5eb21356492224e8f630ec4f992132b029b4b25e7"
    "test-full.tgz https://statmt.org/wmt14/test-full.tgz - md5:a8cd784e006feb32ac6f3d9ec7eb389a"
    ${MORE_ARCHIVES[@]+"${MORE_ARCHIVES[@]}"}
)
# As in fairseq:examples/translation/prepare-wmt14en2fr.sh; validation is newstest2013.
EXTRACT=(
    --train training-parallel-europarl-v7.tgz "training/europarl-v7.$PAIR.{lang}"
    --train training-parallel-commoncrawl.tgz "commoncrawl.$PAIR.{lang}"
    --train training-parallel-nc-v9.tgz "training/news-commentary-v9.$PAIR.{lang}"
    ${MORE_TRAIN[@]+"${MORE_TRAIN[@]}"}
    --valid dev.tgz "dev/newstest2013.{lang}"
    --test test-full.tgz "test-full/newstest2014-$TEST_PAIR-{side}.{lang}.sgm"
    --test-set "$TEST_SET"
)

setting SIZE base "base or big"
# prepare-wmt14en2fr.sh allows 250 subwords and a ratio of 1.5 subwords.
default MAX_WORDS 250
default RATIO 2
default DEDUPE 1
default VOCAB 32000
default SPM_SENTENCES 5000000
default BEAMS "1 2 4 8"
case $SIZE in
    base)
        # fairseq:examples/translation_moe/README.md has base's learning rate and dropout; 8 GPUs of
        # 4,096 tokens, last 5 checkpoints and 100,000 updates are those of Vaswani et al. 2017
        # (25,000 tokens, 10 minutes apart).
        ARCH=transformer_wmt_en_de
        default LR 0.0007
        default DROPOUT 0.1
        default MAX_TOKENS 4096
        default BATCH $((8 * 4096))
        default MAX_UPDATE 100000
        default AVERAGE 5
        ;;
    big)
        # fairseq:examples/scaling_nmt/README.md: 8 GPUs of 3,584 tokens, --update-freq 16, with the
        # learning rate for big batches. The number of updates is ours; the page has none.
        ARCH=$BIG_ARCH
        default LR 0.001
        default DROPOUT "$BIG_DROPOUT"
        default MAX_TOKENS 3584
        default BATCH $((8 * 3584 * 16))
        default MAX_UPDATE 40000
        default AVERAGE 10
        ;;
    *) die "SIZE must be base or big; received '$SIZE'." ;;
esac
setting LR "" "learning rate"
setting DROPOUT "" ""
setting WARMUP 4000 "updates"
TRAINING=(
    --share-all-embeddings
    --optimizer adam --adam-betas "(0.9, 0.98)" --clip-norm 0.0 --weight-decay 0.0
    --lr-scheduler inverse_sqrt --warmup-init-lr 1e-07 --warmup-updates "$WARMUP" --lr "$LR"
    --dropout "$DROPOUT" --label-smoothing 0.1
)
# Length penalty: fairseq's answer in its issues 346 and 1352.
setting LENPEN 0.6 "length penalty of generation"
GENERATION=(--lenpen "$LENPEN" --remove-bpe sentencepiece)
