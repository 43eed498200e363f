# shellcheck shell=bash disable=SC2034
# WMT14, English to German: Europarl v7, Common Crawl, News Commentary v9; 4.5 million pairs.

TGT=de PAIR=de-en TEST_PAIR=deen
BIG_ARCH=transformer_vaswani_wmt_en_de_big BIG_DROPOUT=0.3
# shellcheck source=/dev/null
. "$DATASETS/shared/wmt14.sh"

NEEDS_download="1.7 0.1 5 minutes at 10 MB a second"
NEEDS_extract="1.4 0.1 5 minutes"
NEEDS_clean="1.4 1 5 minutes"
NEEDS_preprocess="4 16 an hour with WORKERS=1"
NEEDS_train="40 16 12 hours for 100,000 updates of base with N = 1 on 8 P100 (Vaswani et al.)"
NEEDS_average="1 4 a minute"
NEEDS_generate="0.1 4 minutes on a GPU"
