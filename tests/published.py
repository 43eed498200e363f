"""Archives of the published names and inner structure, with numerals and dates in them, and a local
web server for them that can be told to break off."""

import gzip
import hashlib
import io
import json
import re
import tarfile
import threading
import zipfile
from argparse import Namespace
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch
from fairseq.data import Dictionary
from fairseq.data.encoders.gpt2_bpe_utils import bytes_to_unicode
from fairseq.models import build_model
from fairseq.tasks.translation import TranslationConfig, TranslationTask

MULTI30K = {"train": "train", "valid": "val", "test": "test_2016_flickr"}
# fairseq-train's options for the model in make_bart's archive, in place of bart_base's own.
BART = {
    f"{side}_{name}": value
    for side in ("encoder", "decoder")
    for name, value in {"layers": 1, "embed_dim": 16, "ffn_embed_dim": 16}.items()
} | {"encoder_attention_heads": 2, "decoder_attention_heads": 2}


def write_tar(path, files, mode="w:gz"):
    """A tar file of texts or bytes by name."""
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            content = content if isinstance(content, bytes) else content.encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def make_wmt14(folder, corpus):
    """WMT14 to German and French; French is German here, the scripts cannot tell."""
    train = {language: corpus["train", language] for language in ("en", "de")}
    # A pair twice, one without a target, one of one word against nine: each is dropped.
    extra = {"en": [train["en"][0], "empty", "one"], "de": [train["de"][0], "", "eins " * 9]}
    parts = {"europarl": (0, 200), "commoncrawl": (200, 250), "nc": (250, 280)}
    parts |= {"un": (280, 290), "giga": (290, 300)}

    def text(part, language):
        lines = train[language][slice(*parts[part])] + (
            extra[language] if part == "europarl" else []
        )
        return "".join(f"{line}\n" for line in lines)

    names = {
        "training-parallel-europarl-v7.tgz": ("europarl", "training/europarl-v7"),
        "training-parallel-commoncrawl.tgz": ("commoncrawl", "commoncrawl"),
        "training-parallel-nc-v9.tgz": ("nc", "training/news-commentary-v9"),
    }
    sides = [("de-en", "de", "de"), ("de-en", "en", "en"), ("fr-en", "fr", "de")]
    sides.append(("fr-en", "en", "en"))
    for archive, (part, name) in names.items():
        files = {f"{name}.{pair}.{ending}": text(part, lang) for pair, ending, lang in sides}
        write_tar(folder / archive, files)
    french = {"en": text("un", "en"), "fr": text("un", "de")}
    files = {f"un/undoc.2000.fr-en.{ending}": content for ending, content in french.items()}
    write_tar(folder / "training-parallel-un.tgz", files)
    giga = {
        f"giga-fren.release2.fixed.{ending}.gz": gzip.compress(text("giga", lang).encode())
        for ending, lang in (("en", "en"), ("fr", "de"))
    }
    write_tar(folder / "training-giga-fren.tar", giga, "w")
    valid = {ending: corpus["valid", lang] for ending, lang in (("en", "en"), *GERMAN)}
    files = {f"dev/newstest2013.{x}": "".join(f"{y}\n" for y in valid[x]) for x in valid}
    write_tar(folder / "dev.tgz", files)
    test = {}
    for pair, ending in (("deen", "de"), ("fren", "fr")):
        for side, lang in (("src", "en"), ("ref", ending)):
            lines = corpus["test", "en" if side == "src" else "de"]
            test[f"test-full/newstest2014-{pair}-{side}.{lang}.sgm"] = sgml(lines)
    write_tar(folder / "test-full.tgz", test)


GERMAN = (("de", "de"), ("fr", "de"))


def sgml(lines):
    """WMT's markup, with a sentence that has stray spaces."""
    segments = "".join(f'<seg id="{i}"> {x}  </seg>\n' for i, x in enumerate(lines, start=1))
    return f'<refset setid="x">\n<doc docid="a">\n<p>\n{segments}</p>\n</doc>\n</refset>\n'


def make_iwslt14(folder, corpus):
    """IWSLT14: talks between tags, and five test sets."""
    files = {}
    for lang in ("de", "en"):
        head = f"<url>http://x</url>\n<keywords>k</keywords>\n<talkid>1</talkid>\n<title>{lang}"
        lines = "".join(f" {line}\n" for line in corpus["train", lang])
        files[f"de-en/train.tags.de-en.{lang}"] = f"{head}</title>\n{lines}"
        sets = ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012")
        for number, name in enumerate(sets):
            xml = sgml(corpus["test", lang][number::5])
            files[f"de-en/IWSLT14.{name}.de-en.{lang}.xml"] = xml
    write_tar(folder / "de-en.tgz", files)


def make_multi30k(folder, corpus):
    """Multi30k: single compressed files."""
    for split, name in MULTI30K.items():
        for language in ("en", "de"):
            text = "".join(f"{line}\n" for line in corpus[split, language])
            (folder / f"{name}.{language}.gz").write_bytes(gzip.compress(text.encode()))


def make_gigaword(folder, corpus):
    """Gigaword: a zip file."""
    with zipfile.ZipFile(folder / "gigaword.zip", "w") as zipped:
        for split, name in (("train", "train"), ("valid", "dev"), ("test", "test")):
            for side, lang in (("src", "de"), ("tgt", "en")):
                text = "".join(f"<unk> {line}\n" for line in corpus[split, lang])
                zipped.writestr(f"org_data/{name}.{side}.txt", text)


def make_cnndm(folder, corpus):
    """CNN/Daily Mail: a file for each story, named by its URL's hash; lists of URLs."""
    stories = {"cnn": {}, "dailymail": {}}
    for split, listed in (("train", "all_train"), ("valid", "all_val"), ("test", "all_test")):
        urls = []
        lines = zip(corpus[split, "de"], corpus[split, "en"], strict=True)
        for number, (article, highlight) in enumerate(lines):
            paper = "cnn" if number % 2 else "dailymail"
            url = f"http://{paper}/{split}/{number}"
            urls.append(url)
            name = f"{paper}/stories/{hashlib.sha1(url.encode()).hexdigest()}.story"
            stories[paper][name] = f"{article}\n\nmore\n\n@highlight\n\n{highlight}\n"
        (folder / f"{listed}.txt").write_text("\n".join(urls) + "\n")
    for paper, files in stories.items():
        write_tar(folder / f"{paper}_stories.tgz", files)


def make_bart(folder):
    """A small untrained BART as fairseq saves it, and GPT-2's files without any merge but one."""
    symbols = [*bytes_to_unicode().values(), "en"]
    (folder / "encoder.json").write_text(json.dumps({x: i for i, x in enumerate(symbols)}))
    (folder / "vocab.bpe").write_text("#version: 0.2\ne n\n")
    dictionary = Dictionary()
    for number in range(len(symbols)):
        dictionary.add_symbol(str(number))
    text = "".join(f"{number} 1\n" for number in range(len(symbols)))
    task = TranslationTask(TranslationConfig(), dictionary, dictionary)
    args = Namespace(arch="bart_base", task="translation", criterion="cross_entropy", **BART)
    torch.manual_seed(1)
    state = {
        "args": args,
        "model": build_model(args, task).state_dict(),
        "optimizer_history": [
            {"criterion_name": "CrossEntropyCriterion", "best_loss": 1.0, "num_updates": 7}
        ],
        "extra_state": {"train_iterator": {"epoch": 3}},
    }
    model = io.BytesIO()
    torch.save(state, model)
    files = {"bart.base/model.pt": model.getvalue(), "bart.base/dict.txt": text}
    write_tar(folder / "bart.base.tar.gz", files)


def write_checksums(folder, path):
    """The file for the setting CHECKSUMS."""
    sums = {x.name: hashlib.sha256(x.read_bytes()).hexdigest() for x in folder.iterdir()}
    path.write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))


class Mirror:
    """What the server does: ``cut`` bytes after which it hangs up, by name, and before that sets
    ``reached`` and waits for ``go_on``; ``asked`` records (name, first byte)."""

    def __init__(self, folder):
        self.folder, self.cut, self.asked, self.ranges = folder, {}, [], True
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()


@contextmanager
def served(folder):
    """A web server for the folder's files; yields its address and its Mirror."""
    mirror = Mirror(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.lstrip("/")
            path = mirror.folder / name
            if not path.is_file():
                self.send_error(404)
                return
            content = path.read_bytes()
            wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(wanted[1]) if wanted and mirror.ranges else 0
            mirror.asked.append((name, start))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                end = f"{len(content) - 1}/{len(content)}"
                self.send_header("Content-Range", f"bytes {start}-{end}")
            self.end_headers()
            cut = mirror.cut.pop(name, None)
            self.wfile.write(content[start:cut])
            if cut:
                self.wfile.flush()
                mirror.reached.set()
                mirror.go_on.wait()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", mirror
    finally:
        server.shutdown()
