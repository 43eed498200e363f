"""CNN/Daily Mail, non-anonymised and cased: articles and highlights from the archives of stories.

As abisee/cnn-dailymail's make_datafiles.py pairs and splits them, without its tokenisation and
lower case, which BART does not want (fairseq:examples/bart/README.summarization.md).
"""

import hashlib
from contextlib import ExitStack
from pathlib import Path

import archives

SPLITS = ("train", "valid", "test")
END_TOKENS = (".", "!", "?", "'", "`", '"', "\u2019", "\u201d", ")")


def write(paths: list[Path], lists: list[Path], out: Path, languages: list[str]) -> None:
    """Write ``out``/{train,valid,test}.{SRC,TGT}: article and summary, a line each.

    Stories without an article or without highlights are left out (114 in the published set).
    The hashes of all URLs are kept in memory, about 60 MB for the published lists.

    Args:
        paths: archives of ``.story`` files, named after the SHA-1 of their URL.
        lists: a file with a URL a line for each split.
        out: folder.
        languages: endings of the two files.

    Raises:
        ValueError: an archive is damaged, or a split got no story.
    """
    split_of = {
        hashlib.sha1(url).digest(): split
        for split, urls in zip(SPLITS, lists, strict=True)
        for url in urls.read_bytes().split()
    }
    counts = dict.fromkeys(SPLITS, 0)
    with ExitStack() as stack:
        files = {
            split: [stack.enter_context(open(out / f"{split}.{x}", "wb")) for x in languages]
            for split in SPLITS
        }
        for path in paths:
            with archives.damage_told(path):
                for name, stream in archives.members(path):
                    split = split_of.get(url_hash(name))
                    pair = split and article_and_summary(stream.read().decode("utf-8"))
                    if pair and all(pair):
                        counts[split] += 1
                        for file, text in zip(files[split], pair, strict=True):
                            file.write(f"{text}\n".encode())
            print(f"{path.name}: {counts} stories so far", flush=True)
    empty = [split for split in SPLITS if not counts[split]]
    if empty:
        raise ValueError(f"{paths[0]}: must hold stories of {lists}; none of {', '.join(empty)}.")


def url_hash(name: str) -> bytes | None:
    """The hash that names a story, or None for another file."""
    stem = Path(name).name.removesuffix(".story")
    return bytes.fromhex(stem) if name.endswith(".story") and len(stem) == 40 else None


def article_and_summary(story: str) -> tuple[str, str]:
    """The text before the first ``@highlight`` and the highlights, each on one line.

    A line without an end mark gets " .", as in make_datafiles.py: captions have none.
    """
    article, highlights, highlight = [], [], False
    for line in (" ".join(line.split()) for line in story.split("\n")):
        if line.startswith("@highlight"):
            highlight = True
        elif line:
            ended = line if line.endswith(END_TOKENS) else f"{line} ."
            (highlights if highlight else article).append(ended)
    return " ".join(article), " ".join(highlights)
