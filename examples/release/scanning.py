"""A small but real check of a Python package: its files and the versions it pins.

It reads the syntax tree, so a word in a comment or a text is no finding; it follows imports under
other names. It does not follow values (`getattr(builtins, "ev" + "al")`); larger tools do.
Read `scan_package` first.
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ADVISORIES = Path(__file__).parent / "advisories.json"

_SEVERITIES = ("critical", "high", "medium", "low")
_SKIPPED_FOLDERS = frozenset({"__pycache__", "build", "dist"})

_CALLS = {
    "eval": ("critical", "runs a text as code"),
    "exec": ("critical", "runs a text as code"),
    "os.system": ("critical", "hands a text to a shell"),
    "os.popen": ("critical", "hands a text to a shell"),
    "pickle.load": ("critical", "runs what the data says"),
    "pickle.loads": ("critical", "runs what the data says"),
    "pickle.Unpickler": ("critical", "runs what the data says"),
    "marshal.loads": ("high", "crashes on crafted data"),
    "shelve.open": ("high", "unpickles what it finds"),
    "tempfile.mktemp": ("medium", "names a file somebody else may create first"),
}
_SECRETS = (
    (re.compile(r"AKIA[0-9A-Z]{16}"), "an access key of a cloud"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"), "a private key"),
    (re.compile(r"gh[pousr]_[A-Za-z0-9]{36}"), "a token of a code host"),
    (
        re.compile(
            r"(?i)(password|passwd|secret|api_?key|access_?token)\w*\s*[:=]\s*[\"'][^\"'\s]{8,}[\"']"
        ),
        "a secret in the clear",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong, and where. `line` counts from 1."""

    severity: str
    rule: str
    path: str
    line: int
    message: str


def scan_package(folder: Path) -> dict[str, Any]:
    """Check every file of a package's folder.

    Returns:
        `{files, findings, critical, report_sha256}`: how many files were read, the findings worst
        first, how many are critical, and the SHA-256 of the report's canonical JSON.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and _counts(path, folder))
    findings = [finding for path in paths for finding in scan_file(path, folder=folder)]
    findings.sort(key=_order)
    report = {"files": len(paths), "findings": [asdict(finding) for finding in findings]}
    text = json.dumps(report, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return {
        **report,
        "critical": sum(finding.severity == "critical" for finding in findings),
        "report_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


def scan_file(path: Path, *, folder: Path) -> Iterator[Finding]:
    """Yield the findings of one file; paths in them are relative to the folder."""
    name = path.relative_to(folder).as_posix()
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        yield Finding(
            severity="low", rule="unreadable", path=name, line=1, message="It is not text."
        )
        return
    yield from _find_secrets(text, path=name)
    if path.suffix == ".py":
        yield from _find_calls(text, path=name)
    elif path.name.startswith("requirements") and path.suffix == ".txt":
        yield from _find_pins(text, path=name)


def _counts(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    return not any(part in _SKIPPED_FOLDERS or part.startswith(".") for part in parts)


def _order(finding: Finding) -> tuple[int, str, int, str]:
    return _SEVERITIES.index(finding.severity), finding.path, finding.line, finding.rule


# --- code ----------------------------------------------------------------------------------------


def _find_calls(text: str, *, path: str) -> Iterator[Finding]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        yield Finding(
            severity="high",
            rule="syntax",
            path=path,
            line=line,
            message=f"It is no Python: {error}",
        )
        return
    names = _imported_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = _dotted(node.func, names)
            if called in _CALLS:
                severity, why = _CALLS[called]
                yield _call_finding(severity, path, node, f"{called}() {why}.")
            elif called.startswith("subprocess.") and _uses_shell(node):
                yield _call_finding("critical", path, node, f"{called}() with a shell.")


def _call_finding(severity: str, path: str, node: ast.Call, message: str) -> Finding:
    return Finding(
        severity=severity, rule="dangerous-call", path=path, line=node.lineno, message=message
    )


def _imported_names(tree: ast.AST) -> Mapping[str, str]:
    """Return what each imported name stands for: `sp` → `subprocess`, `loads` → `pickle.loads`."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    names[alias.asname] = alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _dotted(node: ast.expr, names: Mapping[str, str]) -> str:
    """Return the dotted name of what is called, "" if it has none."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    dotted = ".".join([names.get(node.id, node.id), *reversed(parts)])
    return dotted.removeprefix("builtins.")


def _uses_shell(node: ast.Call) -> bool:
    """Say whether `shell=` is anything but a plain False."""
    for keyword in node.keywords:
        if keyword.arg == "shell":
            value = keyword.value
            return not (isinstance(value, ast.Constant) and not value.value)
    return False


# --- texts ---------------------------------------------------------------------------------------


def _find_secrets(text: str, *, path: str) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines(), start=1):
        for pattern, what in _SECRETS:
            if pattern.search(line):
                # The message does not repeat the secret: reports travel further than code.
                yield Finding(
                    severity="critical",
                    rule="secret",
                    path=path,
                    line=number,
                    message=f"The line holds {what}.",
                )
                break


# --- pins ----------------------------------------------------------------------------------------


def _find_pins(text: str, *, path: str) -> Iterator[Finding]:
    advisories = json.loads(ADVISORIES.read_text(encoding="utf-8"))
    for number, raw in enumerate(text.splitlines(), start=1):
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        if not line:
            continue
        for rule, severity, message in _judge_requirement(line, advisories):
            yield Finding(severity=severity, rule=rule, path=path, line=number, message=message)


def _judge_requirement(
    line: str, advisories: list[dict[str, str]]
) -> Iterator[tuple[str, str, str]]:
    """Yield (rule, severity, message) for what is wrong with one line of requirements."""
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        # Options too: `-r`, `--index-url`, `-e` all bring in what this file does not name.
        yield "unpinned", "high", f"{line[:80]!r} names no single version."
        return
    pins = [item for item in requirement.specifier if item.operator in {"==", "==="}]
    if requirement.url or len(pins) != 1 or "*" in pins[0].version:
        yield "unpinned", "high", f"{requirement.name} is not pinned to one version."
        return
    name = canonicalize_name(requirement.name)
    for advisory in advisories:
        if advisory["package"] == name and SpecifierSet(advisory["affected"]).contains(
            pins[0].version, prereleases=True
        ):
            yield (
                "advisory",
                advisory["severity"],
                f"{name} {pins[0].version}: {advisory['id']}. {advisory['title']}",
            )
