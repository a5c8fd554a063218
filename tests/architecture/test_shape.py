"""Size, layout and names of the code. Each rule is explained in CONTRIBUTING.md."""

import ast
import re

import pytest

from tests.architecture.sources import (
    ROOT,
    Function,
    SourceFile,
    constant_of,
    functions,
    product_files,
    python_files,
)

MODULE_LINE_COUNT_MAX = 500
FUNCTION_LINE_COUNT_MAX = 70

# Modules that must be one file, with the most lines each may have and why.
LONGER_MODULES = {
    "countersign/verify.py": (2000, "auditors copy it alone and read it from its top"),
}
NAMES_THAT_SAY_NOTHING = frozenset(
    {"utils", "util", "helpers", "helper", "common", "misc", "signals"}
)
SELECTOR_PREFIXES = ("get_", "find_", "list_", "count_", "can_")

# What stands in these layers without being a way in: what they are for.
NOT_A_DOORWAY = {
    "approvals.selectors.facts": "the values that the rules judge, read for others of this package",
    "approvals.selectors.views.map_open_stages": "what lists of requests add to each row",
    "core.identity.services.finding": "the rows that the services beside it need, or the error",
    "core.identity.services.recording.name_project_stream": "names a stream; reads nothing",
}
# These names turn a row into a value, or make one; they take the row as it comes.
_CONVERSION = re.compile(r"(?:view|make)_\w+|\w+_(?:view|of)")

# Reading functions whose name says it better than a prefix would, each with the reason.
SELECTORS_NAMED_OTHERWISE = {
    "audit.selectors.proofs.head_covering": "a tree head, by what it covers",
    "audit.selectors.proofs.latest_head": "the tree head everybody asks for",
    "audit.selectors.proofs.prove_consistency": "makes a proof, and checks it",
    "audit.selectors.proofs.prove_inclusion": "makes a proof, and checks it",
    "audit.selectors.proofs.prove_leaf": "makes a proof, and checks it",
    "audit.selectors.proofs.require_log": "refuses whoever may not read the log",
    "audit.selectors.proofs.tree": "the stored tree, which reads itself",
    "audit.selectors.verification.verify_ledger": "reads everything and judges it",
    "core.identity.selectors.case.read_case": "all facts of one question, in one statement",
    "approvals.selectors.approvers.resolve_keys": "what the names in a rule mean now",
    "approvals.selectors.authority.ask_authority": "asks `authorize`, in its words",
    "approvals.selectors.explaining.explain": "the answer to why, which is no row",
    "core.identity.selectors.principals.map_group_names": "names to ids, a mapping",
    "core.identity.selectors.principals.map_usernames": "names to ids, a mapping",
}

# Where everything is caught, and why nothing less will do.
CATCHES_EVERYTHING = {
    "approvals/outbound/delivery.py": "the edge to mail servers: one notice must not keep others",
    "approvals/services/isolating.py": "the edge of one request: it must not keep others waiting",
    "audit/keeping.py": "a thread's edge: what is wrong with one job now must not end it for good",
    "core/listening.py": "a thread's edge: what fails for one hint must not end it for all others",
    "core/toolkit/realtime.py": "the edge of a thread that must go on whatever one signal does",
    "core/toolkit/socket/consumer.py": "a task's edge: who cannot be asked about is not trusted",
    "engine/actions/python_call.py": "the edge to other people's functions",
    "engine/executing.py": "the edge to other people's actions",
    "engine/selectors/runs.py": "a run that a bug has halted is shown, also where the bug is found",
    "engine/sweep.py": "the edge between packages: one sweep must not keep others from theirs",
    "engine/triggers/firing.py": "the edge between firings: one must not keep others from theirs",
    "engine/triggers/scheduling.py": "the edge between schedules: the others are due as well",
    "engine/worker.py": "a thread's edge: a worker whose heartbeat died must end, not linger",
}

_SENTENCE = re.compile(r"test(_[a-z0-9]+){2,}")


def test_no_module_is_longer_than_a_reader_can_hold():
    long = {
        file.path: count
        for file in python_files()
        if (count := file.text.count("\n"))
        > LONGER_MODULES.get(file.path, (MODULE_LINE_COUNT_MAX, ""))[0]
    }

    assert not long, long


def test_no_function_is_longer_than_a_screen():
    long = {
        f"{file.path}:{function.lineno} {function.name}": count
        for file in python_files()
        for function in functions(file)
        if (count := _line_count(function)) > FUNCTION_LINE_COUNT_MAX
    }

    assert not long, long


def test_an_init_file_holds_a_docstring_and_nothing_else():
    # The public face of the authors' package imports; the example's own package is an example.
    crowded = [
        file.path
        for file in python_files()
        if file.path.endswith("/__init__.py")
        and file.path != "countersign/__init__.py"
        and not file.path.startswith("examples/release/package/")
        and not _is_docstring_only(file.tree)
    ]

    assert not crowded, "\n".join(crowded)


def test_no_module_has_a_name_that_says_nothing():
    found = [
        file.path
        for file in python_files()
        if NAMES_THAT_SAY_NOTHING & set(file.path.removesuffix(".py").split("/"))
    ]

    assert not found, "\n".join(found)


def test_one_module_listens_to_model_signals():
    signals = re.compile(r"django\.(?:db\.models\.signals|dispatch)\b")
    listeners = [file.path for file in product_files() if signals.search(file.text)]

    # Copies django-auditlog's rows into the ledger; those are saved by no service of ours.
    assert listeners == ["core/identity/settings_log.py"]


def test_every_test_is_named_as_a_sentence():
    names = [
        f"{file.path}:{function.lineno} {function.name}"
        for file in python_files()
        if file.path.startswith("tests/") and file.path.rpartition("/")[2].startswith("test_")
        for function in functions(file)
        if function.name.startswith("test") and not _SENTENCE.fullmatch(function.name)
    ]

    assert not names, "\n".join(names)


def test_a_test_is_left_out_only_where_a_platform_cannot_run_it():
    # `skipif` with a reason is for platforms; anything else hides a failure.
    hides = re.compile(r"pytest\.skip\(|mark\.skip\b(?!if)|mark\.xfail|skipif\((?![^@]*reason=)")
    hidden = [
        file.path
        for file in python_files()
        if file.path.startswith("tests/")
        and file.path != "tests/architecture/test_shape.py"
        and hides.search(file.text)
    ]

    assert not hidden, "\n".join(hidden)


def test_every_limit_says_why_it_is_what_it_is():
    text = (ROOT / "core/kernel/limits.py").read_text(encoding="utf-8")
    lines = text.splitlines()
    silent = [
        lines[statement.lineno - 1]
        for statement in ast.parse(text).body
        if constant_of(statement) and not _has_comment(lines, statement)
    ]

    assert not silent, "\n".join(silent)


def test_everything_is_caught_only_where_a_reason_is_known():
    found = {file.path for file in (*product_files(), *_examples()) if _catches_everything(file)}

    assert found == set(CATCHES_EVERYTHING), sorted(found)


@pytest.mark.parametrize("layer", ["services", "selectors"])
def test_services_and_selectors_take_everything_by_keyword(layer):
    positional = [
        f"{file.path}:{function.lineno} {function.name}"
        for file, function in _public_functions(layer)
        if function.args.args or function.args.posonlyargs or function.args.vararg
    ]

    assert not positional, "\n".join(positional)


def test_a_selector_promises_by_its_prefix_what_it_returns():
    named = {
        f"{file.module}.{function.name}"
        for file, function in _public_functions("selectors")
        if not function.name.startswith(SELECTOR_PREFIXES)
    }

    assert named == set(SELECTORS_NAMED_OTHERWISE), sorted(named)


def test_a_service_is_named_by_what_it_does():
    vague = [
        f"{file.path}:{function.lineno} {function.name}"
        for file, function in _public_functions("services")
        if function.name.startswith((*SELECTOR_PREFIXES, "handle_", "process_", "do_", "manage_"))
    ]

    assert not vague, "\n".join(vague)


def test_every_unfinished_remark_has_an_owner():
    word = "TO" + "DO"
    ownerless = re.compile(rf"\b{word}\b(?!\([a-z]+\):)")
    found = [file.path for file in python_files() if ownerless.search(file.text)]

    assert not found, "\n".join(found)


def _line_count(function: Function) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def _is_docstring_only(tree: ast.Module) -> bool:
    return len(tree.body) == 1 and ast.get_docstring(tree) is not None


def _has_comment(lines: list[str], statement: ast.stmt) -> bool:
    """Say whether a comment stands behind a statement, or right above it."""
    assert statement.end_lineno is not None
    own = lines[statement.lineno - 1 : statement.end_lineno]
    above = lines[statement.lineno - 2].lstrip()
    return any("#" in line for line in own) or (
        above.startswith("#") and not above.startswith("# ---")
    )


def _catches_everything(file: SourceFile) -> bool:
    return any(_is_swallowing(node) for node in file.walk(ast.ExceptHandler))


def _is_swallowing(handler: ast.AST) -> bool:
    """Say whether a handler takes every exception and does not raise it again at its end."""
    assert isinstance(handler, ast.ExceptHandler)
    names = {"Exception", "BaseException"}
    caught = handler.type
    parts = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    everything = caught is None or any(
        isinstance(part, ast.Name) and part.id in names for part in parts
    )
    last = handler.body[-1]
    return everything and not (isinstance(last, ast.Raise) and last.exc is None)


def _examples() -> list[SourceFile]:
    return [file for file in python_files() if file.path.startswith(("examples/", "benchmarks/"))]


def _public_functions(layer: str) -> list[tuple[SourceFile, Function]]:
    """Return the module-level functions doorways may call in a layer's modules."""
    return [
        (file, statement)
        for file in product_files()
        if f"/{layer}/" in file.path or file.path.endswith(f"/{layer}.py")
        for statement in file.tree.body
        if isinstance(statement, Function) and not statement.name.startswith("_")
        if not _CONVERSION.fullmatch(statement.name)
        if not {file.module, f"{file.module}.{statement.name}"} & set(NOT_A_DOORWAY)
    ]
