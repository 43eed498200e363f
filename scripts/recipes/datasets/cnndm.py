"""CNN/Daily Mail, non-anonymised and cased (See et al. 2017): 287,113 articles with highlights."""

from recipes.dataset import Archive, Needs
from recipes.datasets._summarization import summarization

DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id"
LISTS = "https://raw.githubusercontent.com/abisee/cnn-dailymail/master/url_lists"
# Sizes and sums: tensorflow/datasets, tensorflow_datasets/url_checksums/cnn_dailymail.txt.
ARCHIVES = (
    Archive(
        "cnn_stories.tgz",
        f"{DRIVE}=0BwmD_VLjROrfTHk4NFg2SndKcjQ",
        158577824,
        "sha256:e8fbc0027e54e0a916abd9c969eb35f708ed1467d7ef4e3b17a56739d65cb200",
    ),
    Archive(
        "dailymail_stories.tgz",
        f"{DRIVE}=0BwmD_VLjROrfM1BxdkxVaTY2bWs",
        375893739,
        "sha256:ad69010002210b7c406718248ee66e65868b9f6820f163aa966369878d14147e",
    ),
    Archive(
        "all_train.txt",
        f"{LISTS}/all_train.txt",
        46424688,
        "sha256:a5cee49f3a6c862c26ce29308236d2a99625ab6c86a43be22d5206b2790d8029",
    ),
    Archive(
        "all_val.txt",
        f"{LISTS}/all_val.txt",
        2433674,
        "sha256:81887e982b045083409c6ee838aede8ff4b97291605bcfb21bffc456a16991db",
    ),
    Archive(
        "all_test.txt",
        f"{LISTS}/all_test.txt",
        2109547,
        "sha256:c4f5efb5ec2126430a5c156efbd13d0e9c4cb490169e552c38b4a51981a009bd",
    ),
)
DATASET = summarization(
    "CNN/Daily Mail",
    archives=ARCHIVES,
    extract=(
        *("--stories", "cnn_stories.tgz", "dailymail_stories.tgz"),
        *("--lists", "all_train.txt", "all_val.txt", "all_test.txt"),
    ),
    # CNN_KWARGS of fairseq:examples/bart/summarize.py.
    lengths=("--lenpen", "2.0", "--min-len", "55", "--max-len-b", "140"),
    needs={
        "download": Needs(4.5, 1, "10 minutes at 10 MB a second"),
        "extract": Needs(3, 1, "10 minutes"),
        "clean": Needs(1.3, 0.1, "5 minutes"),
        "preprocess": Needs(4, 4, "3 hours with WORKERS=1"),
        "train": Needs(20, 16, "5 hours with N = 1 on 8 V100 of 32 GB (fairseq's page)"),
        "generate": Needs(0.1, 8, "an hour on a GPU for each beam"),
    },
)
