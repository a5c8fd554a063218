"""Every definition of the examples can be tested in memory."""

import pytest

from countersign.testing.compiling import compile_definition
from tests.architecture.sources import ROOT

DEFINITIONS = sorted(
    path
    for path in (ROOT / "examples").rglob("*.yaml")
    if path.read_text(encoding="utf-8").find("schema: flow/v1") >= 0
)


@pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.stem)
def test_an_example_compiles_without_a_server(path):
    compilation = compile_definition(path.read_bytes())

    errors = [item for item in compilation.problems if item.severity == "error"]
    assert (errors, compilation.plan is None) == ([], False)
