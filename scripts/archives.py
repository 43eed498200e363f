"""Read text out of the published archives: tar (plain or compressed), zip and gzip.

The kind is told from the content, not from the name. Nothing is unpacked to disk. Lines end at
line feeds alone: the corpora hold stray carriage returns and Unicode line separators.
"""

import gzip
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

# What the standard library raises for archives that are cut off or damaged.
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, gzip.BadGzipFile)
SEGMENT = re.compile(r"<seg.*?>(.*)</seg>.*?")


def verify(archive: Path) -> None:
    """Read the archive to its end.

    Raises:
        ValueError: it is damaged or incomplete.
    """
    with damage_told(archive):
        for _, stream in members(archive):
            read_all(stream)
        with open(archive, "rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        if zipped:  # tar stops before the check sum at the end of the compressed data
            with gzip.open(archive) as stream:
                read_all(stream)


def read_all(stream: BinaryIO) -> None:
    """Read a stream to its end."""
    while stream.read(1 << 20):
        pass


def lines(archive: Path, member: str) -> Iterator[str]:
    """The sentences of one file of an archive.

    Args:
        archive: the archive.
        member: name of the file in it; with ``.gz`` at its end it is unpacked once more. ``-``
            stands for an archive that is one compressed file.

    Yields:
        For ``.sgm`` and ``.xml`` the text of each segment, for ``train.tags.*`` what fairseq's
        prepare-iwslt14.sh takes, else the lines as they are, without the line feed.

    Raises:
        ValueError: the archive is damaged or has no such file.
    """
    with damage_told(archive), opened(archive, member) as stream:
        unpacked = gzip.GzipFile(fileobj=stream) if member.endswith(".gz") else stream
        text = (line.decode("utf-8").removesuffix("\n") for line in unpacked)
        if member.endswith((".sgm", ".xml")):
            yield from segments(text)
        elif Path(member).name.startswith("train.tags."):
            yield from tagged(text)
        else:
            yield from text


def segments(text: Iterator[str]) -> Iterator[str]:
    """Segments with their spaces collapsed, exactly as sacreBLEU's FakeSGMLDataset reads them."""
    for line in text:
        if line.lstrip().startswith("<seg "):
            yield re.sub(r"\s+", " ", SEGMENT.sub(r"\1", line.strip()).strip())


def tagged(text: Iterator[str]) -> Iterator[str]:
    """Sentences, titles and descriptions; no addresses, numbers and keywords of talks."""
    for line in text:
        if not re.search("<(url|talkid|keywords)>", line):
            yield re.sub("</?(title|description)>", "", line).strip()


@contextmanager
def opened(archive: Path, member: str) -> Iterator[BinaryIO]:
    """The file in the archive, as a stream.

    Raises:
        ValueError: it is not there.
    """
    if member == "-":
        with gzip.open(archive) as stream:
            yield stream
        return
    for name, stream in members(archive):
        if name.removeprefix("./") == member:
            yield stream
            return
    raise ValueError(f"{archive}: must hold the file {member}, which is not there.")


def members(archive: Path) -> Iterator[tuple[str, BinaryIO]]:
    """Name and stream of every file, in the archive's order; of a single gzip file just itself."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for name in zipped.namelist():
                with zipped.open(name) as stream:
                    yield name, stream
    elif archive.suffix == ".gz" and not archive.name.endswith(".tar.gz"):
        with gzip.open(archive) as stream:
            yield "-", stream
    else:
        with tarfile.open(archive, "r|*") as tar:
            for info in tar:
                if info.isfile():
                    yield info.name, tar.extractfile(info)


@contextmanager
def damage_told(archive: Path) -> Iterator[None]:
    """Turn what the standard library raises for a broken archive into one clear error."""
    try:
        yield
    except DAMAGE as error:
        raise ValueError(
            f"{archive}: is damaged or incomplete ({error}). Remove it and run again, which"
            " fetches it anew."
        ) from error
