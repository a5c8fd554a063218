"""What the publishing workflow calls: checks of an article, and the site. Read `check` first.

Articles are Markdown files beside this module; the site is a small database of pages.
"""

import hashlib
import re
import sqlite3
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from countersign import function
from examples.systems import System, SystemRefusedError

_ARTICLES = Path(__file__).parent / "articles"
_WORDS_MIN = 40
_EASE_MIN = 50  # of Flesch's scale, 0 to 100; 60 is plain English
_BANNED = ("leverage", "synerg", "paradigm", "obviously", "tbd")
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
SITE = System(
    name="site",
    schema=("CREATE TABLE IF NOT EXISTS pages (slug TEXT PRIMARY KEY, sha256 TEXT, html TEXT)",),
)


@function("publishing.check", idempotent=True)
def check(*, slug: str, file: str) -> dict[str, Any]:
    """Look at a draft as a copy editor would.

    Returns:
        `{problems, words, ease, sha256, text}`; `ease` is Flesch's reading ease, rounded.

    Raises:
        SystemRefusedError: when there is no such draft of this article.
    """
    text = _read(slug, file)
    words = re.findall(r"[A-Za-z']+", text)
    ease = _reading_ease(text, words)
    problems = [f"the word '{word}'" for word in _BANNED if word in text.lower()]
    problems += [
        f"a link that leads nowhere: {target}"
        for _, target in _LINK.findall(text)
        if not target.startswith(("/", "https://"))
    ]
    if not text.startswith("# "):
        problems.append("no title")
    if len(words) < _WORDS_MIN:
        problems.append(f"{len(words)} words are too few")
    if ease < _EASE_MIN:
        problems.append(f"hard to read: {ease} of 100")
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"problems": problems, "words": len(words), "ease": ease, "sha256": digest, "text": text}


@function("publishing.publish", idempotent=True)
def publish(*, slug: str, file: str, sha256: str) -> dict[str, Any]:
    """Put an article on the site, exactly as it was reviewed.

    Raises:
        SystemRefusedError: when the draft is not the one that was reviewed.
    """
    text = _read(slug, file)
    if hashlib.sha256(text.encode()).hexdigest() != sha256:
        raise SystemRefusedError("the draft was changed after its review")
    html = "\n".join(_render(text))

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        database.execute("INSERT OR REPLACE INTO pages VALUES (?, ?, ?)", (slug, sha256, html))
        return {"address": f"/news/{slug}/", "bytes": len(html.encode())}

    return SITE.change(apply)


@function("publishing.recall", idempotent=True)
def recall(*, slug: str) -> dict[str, Any]:
    """Take an article off the site."""

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        gone = database.execute("DELETE FROM pages WHERE slug = ?", (slug,))
        return {"removed": gone.rowcount}

    return SITE.change(apply)


def _read(slug: str, file: str) -> str:
    path = _ARTICLES / Path(file).name
    if not path.is_file() or not path.name.startswith(f"{slug}-"):
        raise SystemRefusedError(f"{file} is no draft of {slug}")
    return path.read_text(encoding="utf-8")


def _reading_ease(text: str, words: list[str]) -> int:
    """Return Flesch's reading ease, 0 to 100. Source: Flesch 1948; syllables are vowel groups."""
    sentences = max(1, len(re.findall(r"[.!?:](?:\s|$)", text)))
    syllables = sum(_count_syllables(word) for word in words)
    count = max(1, len(words))
    ease = 206.835 - 1.015 * count / sentences - 84.6 * syllables / count
    return round(min(100.0, max(0.0, ease)))


def _count_syllables(word: str) -> int:
    groups = len(re.findall(r"[aeiouy]+", word.lower()))
    silent = word.lower().endswith("e") and not word.lower().endswith("le")
    return max(1, groups - silent)


def _render(text: str) -> Iterator[str]:
    """Yield the HTML of headings, paragraphs and links: all the Markdown articles may use."""
    for block in re.split(r"\n\s*\n", text.strip()):
        line = " ".join(block.split())
        level = len(line) - len(line.lstrip("#"))
        inner = escape(line.lstrip("# "), quote=False)
        inner = _LINK.sub(lambda found: f'<a href="{escape(found[2])}">{found[1]}</a>', inner)
        yield f"<h{level}>{inner}</h{level}>" if level else f"<p>{inner}</p>"
