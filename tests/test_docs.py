"""What the pages say of the code and of each other holds."""

import re
from dataclasses import fields

import pytest
from commands import PLUGIN, ROOT
from recipes import common

from teaforn_fairseq.criterions.options import TeaForNCrossEntropyCriterionConfig
from teaforn_fairseq.feedbacks import FEEDBACKS

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
CODE = [*PLUGIN.rglob("*.py"), *(ROOT / "tests").glob("*.py"), *(ROOT / "scripts").rglob("*.py")]


def headings(page):
    """A page's headings as they stand, without those of code blocks."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)


def anchors(page):
    """What # in a link to the page may name, by GitHub's rule."""
    return {re.sub(r"[^\w\- ]", "", x).lower().replace(" ", "-") for x in headings(page)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_reached_from_the_readme():
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        seen.add(page)
        links = re.findall(r"\]\(([^)\s#]+\.md)", page.read_text(encoding="utf-8"))
        todo += {(page.parent / x).resolve() for x in links if "://" not in x} - seen
    assert set(PAGES) - seen <= {ROOT / "CHANGELOG.md"}


def test_cited_sections_of_the_method_exist():
    cited = {
        re.sub(r"\s+", " ", section)
        for path in CODE
        for section in re.findall(r'method\.md,\s+"([^"]+)"', path.read_text(encoding="utf-8"))
    }
    assert len(cited) >= 6
    there = headings(ROOT / "docs/method.md")
    assert [x for x in sorted(cited) if not any(y.startswith(x) for y in there)] == []


def test_the_page_of_flags_has_every_flag_of_the_criterion():
    page = (ROOT / "docs/flags.md").read_text(encoding="utf-8")
    described = re.findall(r"^\| `--(teaforn-[\w-]+)", page, flags=re.MULTILINE)
    flags = {
        x.name.replace("_", "-")
        for x in fields(TeaForNCrossEntropyCriterionConfig)
        if x.name.startswith("teaforn_")
    }
    of_the_model = {"teaforn-unshared"}
    assert set(described) == flags | of_the_model


def test_the_pages_and_the_recipes_have_every_feedback():
    for page in ("flags", "method"):
        text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
        table = re.search(r"^\| (?:name|feedback) \|.*\n\|.*\n((?:\|.*\n)+)", text, re.MULTILINE)[1]
        names = {
            x for line in table.splitlines() for x in re.findall(r"`(\w+)`", line.split("|")[1])
        }
        assert names == set(FEEDBACKS), page
    assert set(common.FEEDBACKS) == set(FEEDBACKS)


def test_the_page_of_guarantees_lists_every_change_inside_fairseq():
    page = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
    fixes = {x.name for x in (PLUGIN / "fairseq_fixes").glob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"`(\w+\.py)`", page)) == fixes


def test_the_fast_tests_are_there():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (names,) = re.findall(r"pytest -q tests/test_\{(.+)\}\.py", page)
    missing = [x for x in names.split(",") if not (ROOT / f"tests/test_{x}.py").is_file()]
    assert missing == []
