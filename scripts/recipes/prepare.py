"""The stages from download to binary data. They write aside and move into place, so that what is
there is whole; a second run skips it."""

from pathlib import Path

from recipes import records
from recipes.common import PLUGIN
from recipes.download import fetch
from recipes.facts import clean_options
from recipes.job import Job


def download(job: Job) -> None:
    """Archives to OUT/download."""
    if job.there(job.out / "raw") and job.there(job.out / job.recipe.bart):
        return
    if job.recipe.archives:
        job.shell.folder(job.out / "download")
    for archive in job.recipe.archives:
        fetch(job, archive)


def extract(job: Job) -> None:
    """Raw text to OUT/raw, a pretrained model to OUT/bart.SIZE."""
    if job.recipe.bart:
        _extract_bart(job)
    made = records.result(job, "extract")
    if job.there(made.path):
        records.check(job, made)
        return
    partial = _partial(job, made.path)
    job.shell.folder(partial)
    languages = ("--languages", job.recipe.source, job.recipe.target)
    if job.recipe.corpus:
        script, *options = job.recipe.corpus
        what, _, _ = job.recipe.title.partition(",")
        job.shell.note(f"writing {what} to {made.path}")
        job.shell.run("python", job.script(script), *options, "--out", partial)
    else:
        job.need(job.out / "download", "download")
        text = ("python", job.script("extract.py"), "text", "--folder", job.out / "download")
        job.shell.run(*text, "--out", partial, *languages, *job.recipe.extract)
    records.write(job, made)
    job.shell.move(partial, made.path)


def _partial(job: Job, path: Path) -> Path:
    """The name under which a folder is made; what an interrupted run left there is removed."""
    partial = path.with_name(f"{path.name}.partial")
    job.shell.remove(partial)
    return partial


def _extract_bart(job: Job) -> None:
    """The pretrained model, its dictionary and its subwords."""
    bart, downloads = job.recipe.bart, job.out / "download"
    if job.there(job.out / bart):
        return
    job.need(downloads, "download")
    partial = _partial(job, job.out / bart)
    job.shell.folder(partial)
    for name in ("model.pt", "dict.txt"):
        member = ("member", downloads / f"{bart}.tar.gz", f"{bart}/{name}")
        job.shell.run("python", job.script("extract.py"), *member, partial / name)
    job.shell.copy([downloads / "encoder.json", downloads / "vocab.bpe"], partial)
    job.shell.move(partial, job.out / bart)


def clean(job: Job) -> None:
    """Cleaned text to OUT/clean."""
    made = records.result(job, "clean")
    made_before(job, "extract")
    if job.there(made.path):
        records.check(job, made)
        return
    partial = _partial(job, made.path)
    command = ("python", job.script("clean.py"), "--raw", job.out / "raw", "--out", partial)
    languages = ("--languages", job.recipe.source, job.recipe.target)
    job.shell.run(*command, *languages, *clean_options(job))
    records.write(job, made)
    job.shell.move(partial, made.path)


def made_before(job: Job, stage: str) -> None:
    """Check that the result of an earlier stage is there, made with the present settings."""
    before = records.result(job, stage)
    job.need(before.path, stage)
    if not job.shell.dry:
        records.check(job, before)


def preprocess(job: Job) -> None:
    """Subwords, unless words are the tokens, and binary data in OUT/data/bin."""
    made = records.result(job, "preprocess")
    made_before(job, "clean")
    if job.there(made.path):
        records.check(job, made)
        return
    data, s = made.whole, job.s
    partial = data / "partial"
    learning = not (job.recipe.bart or job.recipe.words)
    if learning:
        job.shell.note(f"learning {s['VOCAB']} joint subwords and binarising")
    elif job.recipe.bart:
        job.shell.note("splitting into GPT-2's subwords and binarising")
    else:
        job.shell.note("binarising")
    job.shell.remove(partial)
    job.shell.folder(partial / "text")
    _encode(job, partial)
    lengths = ("--text", partial / "text", "--languages", job.recipe.source, job.recipe.target)
    lengths += ("--most", s["MAX_SUBWORDS"])
    lengths += ("--truncate-source",) if "--truncate-source" in job.recipe.generation else ()
    job.shell.run("python", job.script("lengths.py"), *lengths, "--json", partial / "lengths.json")
    _binarise(job, partial)
    if learning:
        job.shell.move(partial / "spm.model", data / "spm.model")
    job.shell.move(partial / "lengths.json", data / "lengths.json")
    records.write(job, made)
    job.shell.move(partial / "bin", made.path)
    job.shell.remove(partial)


def _encode(job: Job, partial: Path) -> None:
    """All splits in both languages to partial/text, as tokens."""
    command = ("python", job.script("subwords.py"))
    clean, bart = job.out / "clean", job.out / job.recipe.bart
    languages = (job.recipe.source, job.recipe.target)
    splits = ("train", "valid", "test")
    inputs = [clean / f"{split}.{x}" for split in splits for x in languages]
    if job.recipe.words:
        job.shell.copy(inputs, partial / "text")
        return
    if job.recipe.bart:
        model = ("--gpt2-encoder-json", bart / "encoder.json", "--gpt2-vocab-bpe")
        model += (bart / "vocab.bpe",)
    else:
        model = ("--model", partial / "spm.model")
        train = ("--input", *(clean / f"train.{x}" for x in languages))
        size = job.s.options(VOCAB="--vocab-size", SPM_SENTENCES="--sentences")
        job.shell.run(*command, "learn", *train, *size, *model)
    workers = ("--workers", job.s["WORKERS"])
    job.shell.run(
        *(*command, "encode", *model, *workers, "--input", *inputs), "--out", partial / "text"
    )


def _binarise(job: Job, partial: Path) -> None:
    """partial/text to partial/bin."""
    text, words = partial / "text", job.out / job.recipe.bart / "dict.txt"
    languages = ("--source-lang", job.recipe.source, "--target-lang", job.recipe.target)
    splits = ("--trainpref", text / "train", "--validpref", text / "valid")
    splits += ("--testpref", text / "test", "--destdir", partial / "bin")
    dictionary = ("--srcdict", words, "--tgtdict", words) if job.recipe.bart else ()
    # The plugin mends positions beyond 2 GiB, which several workers get wrong with numpy 2.
    job.shell.run(
        *("fairseq-preprocess", "--user-dir", PLUGIN, *languages, *splits),
        *("--workers", job.s["WORKERS"], *(dictionary or ("--joined-dictionary",))),
    )
