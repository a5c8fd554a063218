"""The documentation says what is there: links, paths, commands, variables, citations."""

import ast
import os
import re
import subprocess
import sys
import unicodedata
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

import pytest
from django.core.management import get_commands
from ruamel.yaml import YAML

from tests.architecture.sources import ROOT, product_files, text_files

PICTURES = sorted((ROOT / "docs/pictures").glob("*.svg"))
RECORDS = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
RECORD_HEADINGS = ("Situation", "Decision", "What follows", "Rejected")

# Words in capitals that comments cite, and the pages they mean.
CITED = {name: f"docs/design/{name.lower()}.md" for name in ("ENGINE", "FLOW", "APPROVALS")} | {
    "LEDGER": "docs/design/ledger.md",
    "the ledger's specification": "docs/design/ledger.md",
    "ACCESS": "docs/design/access.md",
}

_LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CITATION = re.compile(
    rf"\b({'|'.join(sorted(CITED, key=len, reverse=True))})(?: §(\d+)|, \"([^\"]+)\")"
)
# A path of ours in backticks: it starts with one of our folders and has no placeholder.
_PATH = re.compile(
    r"`((?:core|audit|engine|approvals|countersign|tests|docs|examples|benchmarks|scripts)/"
    r"[\w./-]*)(?:::(\w+))?`"
)
_MAKE = re.compile(r"\bmake ([a-z0-9]+(?:-[a-z0-9]+)*)\b")
_COMMAND = re.compile(r"manage\.py ([a-z_]+)")
_VARIABLE = re.compile(r"`([A-Z][A-Z_]+)`")


@cache
def pages() -> dict[str, str]:
    """Return every Markdown page of ours by path; those of the example's package are an example."""
    return {
        path: text
        for path, text in text_files()
        if path.endswith(".md") and not path.startswith("examples/release/package/")
    }


def test_every_link_leads_somewhere():
    broken = [
        f"{path}: {target}"
        for path, text in pages().items()
        for _, target in _LINK.findall(_without_code(text))
        if not _leads_somewhere(path, target)
    ]

    assert not broken, "\n".join(broken)


def test_a_link_to_a_missing_heading_or_page_is_found():
    assert _leads_somewhere("docs/index.md", "design/engine.md#3-the-append-protocol")
    assert not _leads_somewhere("docs/index.md", "design/engine.md#99-nothing")
    assert not _leads_somewhere("docs/index.md", "design/nothing.md")


def test_no_page_shows_anything_from_another_host():
    fetched = [
        f"{path}: {target}"
        for path, text in pages().items()
        for picture, target in _LINK.findall(text)
        if picture and "://" in target
    ]
    markup = [path for path, text in pages().items() if re.search(r"<(?:script|link|img)\b", text)]

    assert (fetched, markup) == ([], [])


def test_every_path_that_is_named_exists():
    missing = sorted(
        f"{path}: {name}"
        for path, text in pages().items()
        for name, test in _PATH.findall(text)
        if not _is_there(name, test)
    )

    assert not missing, "\n".join(missing)


def test_every_python_block_compiles():
    for path, text in pages().items():
        for language, block in _FENCE.findall(text):
            if language == "python":
                compile(block, path, "exec", flags=ast.PyCF_ONLY_AST)


def test_every_make_target_that_is_named_exists():
    targets = set(
        re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    missing = sorted(
        f"{path}: make {name}"
        for path, text in pages().items()
        for line in _code_of(text)
        for name in _MAKE.findall(line)
        if name not in targets
    )

    assert not missing, "\n".join(missing)


def test_every_command_that_is_named_exists():
    commands = get_commands()
    missing = sorted(
        f"{path}: {name}"
        for path, text in pages().items()
        for name in _COMMAND.findall(text)
        if name not in commands
    )

    assert not missing, "\n".join(missing)


def test_every_page_can_be_reached_from_the_menu():
    menu = YAML(typ="safe").load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    records = {path.relative_to(ROOT).as_posix() for path in RECORDS}  # their list is there
    there = {path for path in pages() if path.startswith("docs/")} - records

    assert {f"docs/{page}" for page in _menu_pages(menu)} == there


def test_the_site_builds_strictly_and_fetches_nothing_from_elsewhere(tmp_path):
    # Not --quiet: it would hide the warnings that --strict counts.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]

    build = subprocess.run(
        [*command, "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert build.returncode == 0, build.stdout + build.stderr
    site = {path.name: path.read_text() for path in (tmp_path / "site").rglob("*.html")}
    assert "index.html" in site
    fetched = re.compile(r"""<(?:script|img|link|iframe)[^>]*(?:src|href)="(?:https?:)?//""")
    assert [name for name, text in site.items() if fetched.search(text)] == []


def test_the_variables_table_is_complete():
    page = pages()["docs/how-to/configure-production.md"].partition("## Variables")[2]
    listed = {
        name
        for line in page.splitlines()
        if line.startswith("| `")
        for name in _VARIABLE.findall(line.split("|")[1])
    }

    assert listed == _variables_read()


def test_decision_records_are_numbered_without_gaps():
    numbers = [int(path.name[:4]) for path in RECORDS]

    assert numbers == list(range(1, len(RECORDS) + 1))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_decision_record_has_its_parts_and_is_listed(path):
    text = path.read_text(encoding="utf-8")
    title = text.splitlines()[0]
    index = (ROOT / "docs/decisions/index.md").read_text(encoding="utf-8")

    assert title.startswith(f"# {int(path.name[:4])}. ")
    assert [part for part in RECORD_HEADINGS if f"\n## {part}\n" not in text] == []
    assert f"[{title.partition('. ')[2]}]({path.name})" in index


def test_every_citation_of_the_design_names_a_section_that_exists():
    sections = {name: _headings(pages()[page]) for name, page in CITED.items()}
    wrong = [
        f"{file.path}: {match.group()}"
        for file in product_files()
        for match in _CITATION.finditer(file.text)
        if not _is_section(sections[match[1]], number=match[2], title=match[3])
    ]

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_picture_describes_itself_and_fetches_nothing(path):
    space = "{http://www.w3.org/2000/svg}"
    picture = ET.parse(path).getroot()  # our own file

    assert picture.findtext(f"{space}title")
    assert picture.findtext(f"{space}desc")
    assert "href" not in path.read_text(encoding="utf-8")
    assert "url(http" not in path.read_text(encoding="utf-8")


def test_every_picture_is_shown_somewhere():
    shown = "\n".join(pages().values())

    assert [path.name for path in PICTURES if f"pictures/{path.name}" not in shown] == []


def _leads_somewhere(page: str, target: str) -> bool:
    if "://" in target or target.startswith("mailto:"):
        return True
    name, _, anchor = target.partition("#")
    path = (ROOT / page).parent / name if name else ROOT / page
    if not path.exists():
        return False
    if not anchor or path.suffix != ".md":
        return not anchor
    return anchor in {_slug(heading) for heading in _headings(path.read_text(encoding="utf-8"))}


def _is_there(name: str, test: str) -> bool:
    """Say whether a path exists and, if a test in it is named, that test too."""
    path = ROOT / name
    if name.startswith("benchmarks/results/"):
        return True  # `make bench` writes it
    if not test:
        return path.exists()
    return path.is_file() and f"def {test}(" in path.read_text(encoding="utf-8")


def _headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.+)$", _without_code(text), re.MULTILINE)


def _is_section(headings: list[str], *, number: str | None, title: str | None) -> bool:
    if number is not None:
        return any(heading.startswith(f"{number}. ") for heading in headings)
    return title in headings


def _slug(heading: str) -> str:
    """Return the anchor the site gives a heading. Source: Python-Markdown's toc extension."""
    plain = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


def _without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text))


def _code_of(text: str) -> list[str]:
    """Return what stands in backticks and in fenced blocks."""
    blocks = [block for _, block in _FENCE.findall(text)]
    return [*blocks, *re.findall(r"`([^`\n]+)`", _FENCE.sub("", text))]


def _menu_pages(menu: object) -> list[str]:
    if isinstance(menu, str):
        return [menu]
    if isinstance(menu, dict):
        return [page for item in menu.values() for page in _menu_pages(item)]
    assert isinstance(menu, list)
    return [page for item in menu for page in _menu_pages(item)]


def _variables_read() -> set[str]:
    """Return the names that settings are read from, by the calls of `reader`."""
    trees = [
        ast.parse(path.read_text(encoding="utf-8"))
        for path in (Path(ROOT) / "core/settings").glob("*.py")
    ]
    return {
        node.args[0].value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "reader"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }
