"""docs/reference/patterns.md says what there is: its rows, the definitions and the tests agree."""

import ast
import re
from collections import Counter

from engine.domain.plan_json import plan_from_json, plan_to_json
from tests.architecture.sources import ROOT
from tests.patterns.patterns import FOLDER, load

PAGE = (ROOT / "docs/reference/patterns.md").read_text(encoding="utf-8")
SLUGS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
_ROW = re.compile(
    r"^\| [^|]+ \| ([\d, ]+) \| [^|]+ \| `examples/patterns/([\w-]+)\.yaml` "
    r"\| `(tests/patterns/test_\w+\.py)::(test_\w+)` \|$",
    re.MULTILINE,
)
_NUMBERS = re.compile(r"^\| [^|]+ \| (\d[\d, ]*) \|", re.MULTILINE)
PATTERN_COUNT = 43  # of the catalogue


def test_every_definition_has_one_row_and_every_row_a_definition():
    rows = Counter(slug for _, slug, _, _ in _ROW.findall(PAGE))

    assert rows == Counter(SLUGS)
    assert len(rows) == PAGE.count("`examples/patterns/")


def test_every_row_names_a_test_that_drives_its_definition():
    for _, slug, path, name in _ROW.findall(PAGE):
        assert slug in _strings_of(path, name), f"{path}::{name} does not play {slug}"


def test_the_page_speaks_of_every_pattern_of_the_catalogue():
    numbers = {int(number) for numbers in _NUMBERS.findall(PAGE) for number in numbers.split(",")}

    assert numbers == set(range(1, PATTERN_COUNT + 1))


def test_every_definition_survives_being_stored():
    for slug in SLUGS:
        plan = load(slug)
        stored = plan_to_json(plan)

        assert plan_from_json(stored) == plan


def _strings_of(path: str, name: str) -> set[str]:
    """Return the texts in a test and in the functions of its module that it calls."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = {item.name: item for item in tree.body if isinstance(item, ast.FunctionDef)}
    test = functions[name]
    called = {item.id for item in ast.walk(test) if isinstance(item, ast.Name)} & set(functions)
    return {
        item.value
        for function in (test, *(functions[other] for other in called))
        for item in ast.walk(function)
        if isinstance(item, ast.Constant) and isinstance(item.value, str)
    }
