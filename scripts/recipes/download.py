"""Archives: from the network or a local folder, whole and with the right sum or not at all."""

import hashlib
import sys
from pathlib import Path

from recipes import files
from recipes.dataset import Archive
from recipes.errors import Refused
from recipes.job import Job

AGAIN = "Run again: it goes on where it stopped."


def fetch(job: Job, archive: Archive) -> None:
    """The archive, checked, in OUT/download.

    Raises:
        Refused: it cannot be fetched or is not the published one.
    """
    target = job.out / "download" / archive.name
    if job.there(target):
        return
    if job.s["DATA"]:
        _link(job, archive, target)
        return
    job.shell.note(f"downloading {archive.name} ({megabytes(archive.bytes)})")
    partial = target.with_name(f"{archive.name}.partial")
    mirror = job.s["MIRROR"]
    url = f"{mirror}/{archive.name}" if mirror else archive.url
    if job.shell.dry:
        job.shell.print(*curl(url, partial, "--continue-at", "-"))
    elif archive.bytes is None or size(partial) != archive.bytes:
        _download(job, url, partial)
    if not check(job, archive, partial):
        partial.unlink()
        raise Refused(f"{archive.name} is removed. Run again: it is fetched anew.")
    job.shell.move(partial, target)


def _link(job: Job, archive: Archive, target: Path) -> None:
    source = Path(job.s["DATA"]).absolute() / archive.name
    if not job.shell.dry and not source.is_file():
        raise Refused(f"DATA={job.s['DATA']}: no {archive.name} there.")
    if not check(job, archive, source):
        raise Refused(f"{source} is damaged or incomplete. Fetch it again.")
    job.shell.link(source, target)


def curl(url: str, file: Path, *options: str) -> list[str]:
    """The command that downloads a file."""
    words = ["curl", "--fail", "--location", "--retry", "3", *options]
    return [*words, "--output", str(file), url]


def _download(job: Job, url: str, file: Path) -> None:
    """Go on where an earlier download stopped, or start over.

    Raises:
        Refused: it failed.
    """
    if size(file):
        job.shell.tell(f"going on after {megabytes(size(file))}")
    show = ("--retry-delay", "1", "--progress-bar", "--write-out", "%{http_code}")
    status, code = job.shell.read(*curl(url, file, "--continue-at", "-", *show))
    # 33 and 416: the server cannot go on from the middle, or there is nothing after it.
    if size(file) and (status == 33 or code == "416"):
        file.unlink()
        status, code = job.shell.read(*curl(url, file, *show))
    if status == 23:
        raise Refused(
            f"could not write {file}: is the disk full? Free some space and run again: it goes on"
            " where it stopped."
        )
    if status:
        raise Refused(
            f"could not download {url} (curl: {status}, HTTP: {code or 'none'}). {AGAIN} Or set"
            " MIRROR to another address, or DATA to a folder with it."
        )


def expected(job: Job, archive: Archive) -> tuple[int | None, str | None]:
    """Size and sum of the archive that is wanted, None where nobody has told.

    Raises:
        Refused: CHECKSUMS has no line for it.
    """
    path = job.s["CHECKSUMS"]
    if not path:
        return archive.bytes, archive.sum
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition(" ")
        if name.strip() == archive.name:
            return None, f"sha256:{digest}"
    raise Refused(f"CHECKSUMS={path}: has no line for {archive.name}.")


def check(job: Job, archive: Archive, file: Path) -> bool:
    """Whether a file is the wanted one; tells why not."""
    num_bytes, wanted = expected(job, archive)
    if job.shell.dry:
        _print_check(job, wanted, file)
        return True
    if num_bytes is not None and size(file) != num_bytes:
        return wrong(f"{archive.name}: must have {num_bytes} bytes; received {size(file)}.")
    if wanted is None:
        return _trust_first(job, archive, file)
    kind = wanted.partition(":")[0]
    found = f"{kind}:{digest(kind, file)}"
    return found == wanted or wrong(
        f"{archive.name}: is not the published file or only a part of it: check sum {found} instead"
        f" of {wanted}."
    )


def wrong(text: str) -> bool:
    """Tell what is wrong."""
    print(f"error: {text}", file=sys.stderr, flush=True)
    return False


def _print_check(job: Job, wanted: str | None, file: Path) -> None:
    if wanted is None:
        job.shell.print("python", job.script("extract.py"), "verify", file)
        return
    kind, _, digest = wanted.partition(":")
    job.shell.pipe(["echo", f"{digest}  {file}"], [f"{kind}sum", "--check"])


def _trust_first(job: Job, archive: Archive, file: Path) -> bool:
    """No published sum: record it, and hold later downloads against the record."""
    status, _ = job.shell.read("python", job.script("extract.py"), "verify", file)
    if status:
        return False
    record = job.out / "download" / f"{archive.name}.sha256"
    found = digest("sha256", file)
    if not record.exists():
        job.shell.tell(
            f"note: nobody has published a check sum of {archive.name}. It is whole; its sum,"
            f" {found}, is recorded in {record}, and a later download is held against it."
        )
        files.write(record, f"{found}  {archive.name}\n")
        return True
    return record.read_text(encoding="utf-8").split() == [found, archive.name] or wrong(
        f"{archive.name}: differs from the one fetched first, whose sum is in {record}."
    )


def digest(kind: str, file: Path) -> str:
    """Check sum of a file, by md5 or sha256."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, kind).hexdigest()


def size(file: Path) -> int:
    """Bytes of a file, 0 if it is not there."""
    return file.stat().st_size if file.exists() else 0


def megabytes(number: int | None) -> str:
    """A size for people."""
    return "size unknown" if number is None else f"{number // 1_000_000} MB"
