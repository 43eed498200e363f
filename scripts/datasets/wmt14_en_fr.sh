# shellcheck shell=bash disable=SC2034
# WMT14, English to French: as German, with UN and the 10^9 corpus; 40.8 million pairs.

TGT=fr PAIR=fr-en TEST_PAIR=fren
BIG_ARCH=transformer_vaswani_wmt_en_fr_big BIG_DROPOUT=0.1
MORE_ARCHIVES=(
    "training-parallel-un.tgz http://www.statmt.org/wmt13/training-parallel-un.tgz 2365634246 sha256:29141b5c1eba149a94f7a59d3b1a834b2e47fe0f8758d68dcd77a3d3f497ee47"
    "training-giga-fren.tar http://www.statmt.org/wmt10/training-giga-fren.tar 2595102720 sha256:3ff8319f6919393520559bfbc7ad6a747ec81b3abc7be9993b338d4b017b4d9a"
)
MORE_TRAIN=(
    --train training-parallel-un.tgz "un/undoc.2000.$PAIR.{lang}"
    --train training-giga-fren.tar "giga-fren.release2.fixed.{lang}.gz"
)
# shellcheck source=/dev/null
. "$DATASETS/shared/wmt14.sh"

NEEDS_download="6.7 0.1 15 minutes at 10 MB a second"
NEEDS_extract="14 0.1 half an hour"
NEEDS_clean="13 2 half an hour"
NEEDS_preprocess="40 16 6 hours with WORKERS=1"
NEEDS_train="40 32 12 hours for 100,000 updates of base with N = 1 on 8 P100 (Vaswani et al.)"
NEEDS_average="1 4 a minute"
NEEDS_generate="0.1 4 minutes on a GPU"
