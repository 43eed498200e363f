"""Gigaword headlines (Rush et al. 2015): 3.8 million first sentences with titles, lower case. The
org_data of microsoft/unilm, the same text as harvardnlp/sent-summary."""

from recipes.dataset import Archive, Needs
from recipes.datasets._summarization import summarization

DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id"
# Size and sum: huggingface/datasets, datasets/gigaword/dataset_infos.json. The name is ours.
HEADLINES = Archive(
    "gigaword.zip",
    f"{DRIVE}=1USoQ8lJgN8kAWnUnRrupMGrPMLlDVqlV",
    578402958,
    "sha256:bc0c4a2e1aa19cf2123688b87bc2d778c0d8fc24a4090e3c10a27c5faa1b898b",
)
DATASET = summarization(
    "Gigaword",
    archives=(HEADLINES,),
    extract=(
        *("--train", HEADLINES.name, "org_data/train.{lang}.txt"),
        *("--valid", HEADLINES.name, "org_data/dev.{lang}.txt"),
        *("--test", HEADLINES.name, "org_data/test.{lang}.txt"),
        "--replace-unk",
    ),
    # Titles are short: no least length, and no page of fairseq has settings for them.
    lengths=("--lenpen", "1.0", "--max-len-b", "60"),
    needs={
        "download": Needs(4.5, 1, "10 minutes at 10 MB a second"),
        "extract": Needs(3, 0.1, "5 minutes"),
        "clean": Needs(1, 0.1, "5 minutes"),
        "preprocess": Needs(3, 4, "2 hours with WORKERS=1"),
        "train": Needs(20, 16, "5 hours with N = 1 on 8 V100 of 32 GB, as for CNN/Daily Mail"),
        "generate": Needs(0.1, 8, "minutes on a GPU"),
    },
)
