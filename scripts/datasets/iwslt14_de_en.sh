# shellcheck shell=bash disable=SC2034
# IWSLT14, German to English: 160,000 pairs of talks, as fairseq trains and splits them
# (fairseq:examples/translation/README.md and prepare-iwslt14.sh), in lower case.

SRC=de TGT=en
TITLE="IWSLT14 de-en, dev2010, dev2012 and tst2010 to tst2012"
# Nobody has published a sum of this archive.
ARCHIVES=("de-en.tgz https://dl.fbaipublicfiles.com/fairseq/data/iwslt14/de-en.tgz - -")
EXTRACT=(
    --train de-en.tgz "de-en/train.tags.de-en.{lang}"
    --test de-en.tgz "de-en/IWSLT14.TED.dev2010.de-en.{lang}.xml"
    --test de-en.tgz "de-en/IWSLT14.TEDX.dev2012.de-en.{lang}.xml"
    --test de-en.tgz "de-en/IWSLT14.TED.tst2010.de-en.{lang}.xml"
    --test de-en.tgz "de-en/IWSLT14.TED.tst2011.de-en.{lang}.xml"
    --test de-en.tgz "de-en/IWSLT14.TED.tst2012.de-en.{lang}.xml"
)
# prepare-iwslt14.sh allows 175 words and a ratio of 1.5 words, both of Moses' tokenizer.
default MAX_WORDS 175
default RATIO 2
default LOWERCASE 1
VALID_EVERY=23
default VOCAB 10000
default BATCH 4096
default MAX_UPDATE 50000
default BEAMS "1 5"
setting LR 0.0005 "learning rate"
setting DROPOUT 0.3 ""
setting WARMUP 4000 "updates"
ARCH=transformer_iwslt_de_en
TRAINING=(
    --share-decoder-input-output-embed
    --optimizer adam --adam-betas "(0.9, 0.98)" --clip-norm 0.0 --weight-decay 0.0001
    --lr-scheduler inverse_sqrt --warmup-updates "$WARMUP" --lr "$LR"
    --dropout "$DROPOUT" --label-smoothing 0.1
)
GENERATION=(--remove-bpe sentencepiece)
SCORING=(--metrics bleu tokenised --lowercase --language en)

NEEDS_download="0.1 0.1 a minute"
NEEDS_extract="0.1 0.1 a minute"
NEEDS_clean="0.1 0.1 a minute"
NEEDS_preprocess="0.2 1 two minutes"
NEEDS_train="2 8 some hours on one GPU"
NEEDS_generate="0.1 4 minutes on a GPU"
