"""WMT14, English to French: as German, with UN and the 10^9 corpus; 40.8 million pairs."""

from recipes.dataset import Archive, Needs
from recipes.datasets._wmt14 import wmt14

UN = Archive(
    "training-parallel-un.tgz",
    "http://www.statmt.org/wmt13/training-parallel-un.tgz",
    2365634246,
    "sha256:29141b5c1eba149a94f7a59d3b1a834b2e47fe0f8758d68dcd77a3d3f497ee47",
)
GIGA = Archive(
    "training-giga-fren.tar",
    "http://www.statmt.org/wmt10/training-giga-fren.tar",
    2595102720,
    "sha256:3ff8319f6919393520559bfbc7ad6a747ec81b3abc7be9993b338d4b017b4d9a",
)
DATASET = wmt14(
    "fr",
    big_dropout="0.1",
    more_archives=(UN, GIGA),
    more_text=(
        *("--train", UN.name, "un/undoc.2000.fr-en.{lang}"),
        *("--train", GIGA.name, "giga-fren.release2.fixed.{lang}.gz"),
    ),
    needs={
        "download": Needs(6.7, 0.1, "15 minutes at 10 MB a second"),
        "extract": Needs(14, 0.1, "half an hour"),
        "clean": Needs(13, 2, "half an hour"),
        "preprocess": Needs(40, 16, "6 hours with WORKERS=1"),
        "train": Needs(
            40, 32, "12 hours for 100,000 updates of base with N = 1 on 8 P100 (Vaswani et al.)"
        ),
        "average": Needs(1, 4, "a minute"),
        "generate": Needs(0.1, 4, "minutes on a GPU"),
    },
)
