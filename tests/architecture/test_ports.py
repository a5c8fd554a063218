"""Every port has a contract suite, so that a fake and the real thing cannot drift apart."""

import ast

import pytest

from tests.architecture.sources import ROOT, python_files

# Where ports are declared.
PORT_FILES = ("engine/ports.py", "core/toolkit/ledger.py")


def _ports() -> list[str]:
    return [
        node.name
        for file in python_files()
        if file.path in PORT_FILES
        for node in file.tree.body
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
    ]


def test_the_ports_are_found_where_they_are_declared():
    assert set(_ports()) == {"WaitOpener", "LedgerSink"}


@pytest.mark.parametrize("port", _ports())
def test_every_port_has_a_contract_suite(port):
    suites = sorted((ROOT / "tests/contracts").glob("test_*.py"))

    assert [path.name for path in suites if port in path.read_text(encoding="utf-8")]
