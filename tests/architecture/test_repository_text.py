"""What must not stand in any file: where it was written, and where its packages came from."""

import re

from tests.architecture.sources import text_files

_THIS = "tests/architecture/test_repository_text.py"

# Where somebody's machine keeps things, and where packages are downloaded from.
_FORBIDDEN = {
    "a path of one machine": re.compile(r"(?<![\w.~-])/(?:home|root|work|Users|farm)/"),
    "a path for what will be gone": re.compile(r"(?<![\w.~-])/tmp/"),
    "the address of a package index": re.compile(
        r"pypi\.org|pythonhosted\.org|pypi-|extra-index-url|devpi", re.IGNORECASE
    ),
    "a file beside the repository": re.compile(r"\.\./shared\b|\.library\b"),
}


def test_no_file_tells_of_the_machine_it_was_written_on():
    found = [
        f"{path}:{number}: {what}"
        for path, text in text_files()
        if path != _THIS
        for number, line in enumerate(text.splitlines(), start=1)
        for what, pattern in _FORBIDDEN.items()
        if pattern.search(line) and not (path.startswith("tests/") and "gone" in what)
    ]

    assert not found, "\n".join(found)


def test_each_forbidden_thing_would_be_found():
    examples = {
        "a path of one machine": "cd /home/mara/countersign",
        "a path for what will be gone": "see /tmp/notes.txt",
        "the address of a package index": "--extra-index-url https://example.org/simple",
        "a file beside the repository": "see ../shared/DESIGN.md",
    }

    assert all(_FORBIDDEN[what].search(text) for what, text in examples.items())


def test_a_web_address_is_not_a_path_of_a_machine():
    pattern = _FORBIDDEN["a path of one machine"]

    assert pattern.search("https://example.org/home/") is None
    assert pattern.search("api/v1/work/") is None
