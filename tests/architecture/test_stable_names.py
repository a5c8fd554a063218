"""Names that others store or branch on: error codes, event kinds, permissions, tasks."""

import ast
import re
from collections import Counter
from functools import cache

from core.identity.domain.permissions import BUILTIN_ROLES, LEVELS, Permission
from engine.domain.events import EventKind
from tests.architecture.sources import PACKAGES, ROOT, SourceFile, constant_of, product_files

_CODE = re.compile(r"[a-z]+(\.[a-z][a-z0-9_]*)+")
_KIND = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
_AREAS = {
    "core": {"core", "identity", "api"},
    "audit": {"audit"},
    "engine": {"engine"},
    "approvals": {"approvals"},
    "countersign": {"countersign"},
}


def test_every_error_code_is_dotted_and_starts_with_its_own_area():
    wrong = [
        f"{path}: {code}"
        for path, code in _error_codes()
        if not _CODE.fullmatch(code) or code.split(".")[0] not in _AREAS[path.split("/")[0]]
    ]

    assert not wrong, "\n".join(wrong)


def test_no_two_errors_share_a_code():
    assert _doubled(code for _, code in _error_codes()) == []


def test_the_error_reference_explains_every_code():
    text = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    missing = sorted({code for _, code in _error_codes() if f"| `{code}` |" not in text})

    assert not missing, f"run `manage.py write_reference`: {missing}"


def test_the_error_reference_explains_no_code_that_is_gone():
    text = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    codes = {code for _, code in _error_codes()}
    gone = sorted(set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)) - codes)

    assert not gone, f"run `manage.py write_reference`: {gone}"


def test_every_event_kind_is_a_noun_and_a_verb_and_given_once():
    assert len(EventKind.__members__) == len(list(EventKind)), "one kind has two names"
    assert [kind for kind in EventKind if not _KIND.fullmatch(kind)] == []


def test_every_kind_written_to_the_ledger_is_a_noun_and_a_verb():
    wrong = [f"{path}: {kind}" for path, kind in list_ledger_kinds() if not _KIND.fullmatch(kind)]

    assert not wrong, "\n".join(wrong)


def test_every_permission_is_given_once_and_has_a_level():
    assert len(Permission.__members__) == len(list(Permission)), "one permission has two names"
    assert set(LEVELS) == set(Permission)


def test_every_permission_but_a_future_one_is_held_by_a_builtin_role():
    held = {item for role in BUILTIN_ROLES.values() for item in role.permissions}

    assert sorted(set(Permission) - held) == []


def test_every_task_has_a_name_of_its_own_that_starts_with_its_app():
    names = [(file, name) for file in product_files() for name in _task_names(file)]

    assert [file.path for file, name in names if name.split(".")[0] not in PACKAGES] == []
    assert _doubled(name for _, name in names) == []
    assert "engine.drive" in {name for _, name in names}


@cache
def _error_codes() -> list[tuple[str, str]]:
    """Return (path, code) of every class that states a `code` and a `title`."""
    found = []
    for file in product_files():
        for node in file.walk(ast.ClassDef):
            assert isinstance(node, ast.ClassDef)
            code = dict(_class_texts(node)).get("code")
            if code is not None and "title" in _class_names(node):
                found.append((file.path, code))
    assert found, "no error code was found; has the way they are written changed?"
    return found


def _class_names(node: ast.ClassDef) -> set[str]:
    """Return the names a class body assigns."""
    return {
        target.id
        for statement in node.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }


def _class_texts(node: ast.ClassDef) -> list[tuple[str, str]]:
    return [
        (target.id, statement.value.value)
        for statement in node.body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
        and statement.value.value
        for target in statement.targets
        if isinstance(target, ast.Name)
    ]


def list_ledger_kinds() -> list[tuple[str, str]]:
    """Return (path, kind) of every draft whose kind is written out."""
    found = []
    for file in product_files():
        for node in file.walk(ast.Call):
            assert isinstance(node, ast.Call)
            if not isinstance(node.func, ast.Name) or node.func.id not in {"Draft", "record_act"}:
                continue
            found += [
                (file.path, keyword.value.value)
                for keyword in node.keywords
                if keyword.arg == "kind"
                and isinstance(keyword.value, ast.Constant)
                and isinstance(keyword.value.value, str)
            ]
    return found


def _task_names(file: SourceFile) -> list[str]:
    """Return the names of the tasks a file declares; a task without one is a failure."""
    names = []
    for node in file.walk(ast.Call):
        assert isinstance(node, ast.Call)
        if isinstance(node.func, ast.Name) and node.func.id == "shared_task":
            given = [item.value for item in node.keywords if item.arg == "name"]
            assert given, f"{file.path}:{node.lineno} is a task without a name"
            names.append(_text_of(given[0]))
    bare = re.search(r"^@shared_task$", file.text, re.MULTILINE)
    assert bare is None, f"{file.path} has a task without a name"
    return names


def _text_of(node: ast.expr) -> str:
    """Return the text an expression stands for: a literal, or a constant of one of our modules."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    assert isinstance(node, ast.Name), ast.dump(node)
    values = {
        statement.value.value
        for file in product_files()
        for statement in file.tree.body
        if constant_of(statement) == node.id
        and isinstance(statement, ast.Assign)
        and isinstance(statement.value, ast.Constant)
    }
    assert len(values) == 1, f"{node.id} stands for {values}"
    return str(values.pop())


def _doubled(items) -> list[str]:
    return sorted(item for item, count in Counter(items).items() if count > 1)
