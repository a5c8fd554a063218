"""Writes `docs/use-cases.md` from the use cases: `python -m examples.catalog`. A test compares."""

import sys
from collections.abc import Iterator

from examples.cases import CASES
from examples.stories import ROOT, Story, UseCase

PAGE = ROOT.parent / "docs" / "use-cases.md"
_REPOSITORY_FOLDER = "examples"
_HEAD = """\
# Use cases

Made from `examples/cases.py` by `python -m examples.catalog`; do not edit.

Each is a folder of the repository: definitions, the functions they call, realistic input, a
README and stories. A story is one run from its start to a stated end. `make run` plays all of
them once, in the background, over the public API, so that every page has something to show; the
tests play them too. One more time: `python -m examples.demo.history --again orders/no-carrier`.

What the functions change are small local stand-ins: files in the data folder, and a target service
on the loopback address. The companies, people, advisories and accounts in them are made up.
"""


def write() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *(line for case in CASES for line in _describe(case))]).rstrip() + "\n"


def _describe(case: UseCase) -> Iterator[str]:
    count = len(case.stories)
    yield f"## {case.title}"
    yield ""
    yield case.summary
    yield ""
    picture = PAGE.parent / "pictures" / f"use-case-{case.slug}.png"
    if picture.is_file():
        pictured = next(story for story in case.stories if story.slug == case.pictured)
        yield f"![{pictured.says}](pictures/{picture.name})"
        yield ""
    files = ", ".join(f"`{_REPOSITORY_FOLDER}/{case.slug}/{name}`" for name in case.files)
    yield f"{files}; {count} stories:"
    yield ""
    yield "| story | what happens | ends |"
    yield "|---|---|---|"
    for story in case.stories:
        yield f"| `{case.slug}/{story.slug}` | {story.says} | {_end(story)} |"
    yield ""


def _end(story: Story) -> str:
    if story.ends == "waiting":
        return f"waits in `{story.waits_in}`"
    undone = ", ".join(f"`{step}`" for step in dict.fromkeys(story.undone))
    return f"{story.ends}, undone: {undone}" if undone else story.ends


if __name__ == "__main__":
    PAGE.write_text(write(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT.parent)}", file=sys.stderr)
