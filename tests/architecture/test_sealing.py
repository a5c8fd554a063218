"""Who opens sealed values: the web process does so only where this list says why."""

import ast

from tests.architecture.sources import product_files

UNSEALS = {
    "engine/triggers/endpoints.py": "a webhook is judged where it comes in, before it is kept",
    "core/toolkit/sealed_columns.py": "seals everything anew; only a command calls it",
}


def _unsealing():
    """Yield the files that use `unseal`, whatever they call it."""
    for file in product_files():
        if file.path == "core/toolkit/sealing.py":
            continue
        for node in file.walk(ast.ImportFrom, ast.Import, ast.Attribute):
            if isinstance(node, ast.ImportFrom) and node.module == "core.toolkit.sealing":
                if any(item.name in {"unseal", "*"} for item in node.names):
                    yield file.path
            elif isinstance(node, ast.Attribute) and node.attr == "unseal":
                yield file.path


def test_only_what_is_listed_opens_sealed_values():
    assert set(_unsealing()) == set(UNSEALS)


def test_rotation_is_used_by_its_command_only():
    users = {
        file.path
        for file in product_files()
        for node in file.walk(ast.ImportFrom)
        if isinstance(node, ast.ImportFrom)
        and node.module == "core.toolkit.sealed_columns"
        and any(item.name == "rotate" for item in node.names)
    }

    assert users == {"core/management/commands/rotate_secrets.py"}
