"""Who opens sealed values: the web process does so only where this list says why."""

import ast

from tests.architecture.sources import product_files

UNSEALS = {
    "engine/triggers/endpoints.py": "a webhook is judged where it comes in, before it is kept",
    "engine/secrets/opening.py": "puts secrets into the arguments of an attempt, on a worker",
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


def test_only_what_executes_attempts_opens_secrets():
    """Web processes import these modules, but never execute an attempt: see `engine.worker`."""
    users = {
        (file.path, item.name)
        for file in product_files()
        for node in file.walk(ast.ImportFrom)
        if isinstance(node, ast.ImportFrom) and node.module == "engine.secrets.opening"
        for item in node.names
    }
    executing = {
        file.path
        for file in product_files()
        for node in file.walk(ast.ImportFrom)
        if isinstance(node, ast.ImportFrom) and node.module == "engine.executing"
        if any(item.name == "execute" for item in node.names)
    }

    assert {path for path, name in users if name == "open_arguments"} == {"engine/executing.py"}
    assert executing == {"engine/driver.py", "engine/worker.py"}


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
