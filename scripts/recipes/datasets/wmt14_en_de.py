"""WMT14, English to German: Europarl v7, Common Crawl, News Commentary v9; 4.5 million pairs."""

from recipes.dataset import Needs
from recipes.datasets._wmt14 import wmt14

DATASET = wmt14(
    "de",
    big_dropout="0.3",
    needs={
        "download": Needs(1.7, 0.1, "5 minutes at 10 MB a second"),
        "extract": Needs(1.4, 0.1, "5 minutes"),
        "clean": Needs(1.4, 1, "5 minutes"),
        "preprocess": Needs(4, 16, "an hour with WORKERS=1"),
        "train": Needs(
            40, 16, "12 hours for 100,000 updates of base with N = 1 on 8 P100 (Vaswani et al.)"
        ),
        "average": Needs(1, 4, "a minute"),
        "generate": Needs(0.1, 4, "minutes on a GPU"),
    },
)
