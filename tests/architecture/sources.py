"""The project's files as these tests see them: read and parsed once. Read `python_files` first."""

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APPS = ("core.identity", "audit", "engine", "approvals")
PACKAGES = ("core", "audit", "engine", "approvals", "countersign")
_PYTHON_ROOTS = (*PACKAGES, "tests", "benchmarks", "examples")

# Nothing below is written by us or kept in the repository.
_LEFT_OUT_FOLDERS = frozenset({"__pycache__", "var", "htmlcov", "dist", "build", "node_modules"})
_TEXT_SUFFIXES = frozenset(
    {
        *(".cfg", ".css", ".html", ".ini", ".js", ".json", ".md", ".py", ".sh", ".sql", ".svg"),
        *(".toml", ".txt", ".yaml", ".yml", ""),
    }
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One Python file. `path` counts from the repository, with forward slashes."""

    path: str
    text: str
    tree: ast.Module

    @property
    def module(self) -> str:
        """Return the dotted name."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def walk(self, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
        """Yield the nodes of these kinds."""
        return (node for node in ast.walk(self.tree) if isinstance(node, kinds))


@cache
def python_files() -> tuple[SourceFile, ...]:
    """Return our Python files, migrations left out because a tool writes them."""
    paths = [path for root in _PYTHON_ROOTS for path in _walk(ROOT / root)]
    return tuple(
        _read(path)
        for path in sorted([ROOT / "manage.py", *paths])
        if path.suffix == ".py" and "migrations" not in path.parts
    )


def product_files() -> tuple[SourceFile, ...]:
    """Return the Python files of the product's packages, without tests and examples."""
    return tuple(file for file in python_files() if file.path.split("/")[0] in PACKAGES)


@cache
def text_files() -> tuple[tuple[str, str], ...]:
    """Return the path and content of every text file somebody might read."""
    found = []
    for path in sorted(_walk(ROOT)):
        if path.suffix in _TEXT_SUFFIXES and not path.is_symlink():
            try:
                found.append((_name(path), path.read_text(encoding="utf-8")))
            except UnicodeDecodeError:
                continue
    return tuple(found)


def functions(file: SourceFile) -> Iterator[Function]:
    """Yield every function and method of a file, nested ones too."""
    for node in file.walk(ast.FunctionDef, ast.AsyncFunctionDef):
        assert isinstance(node, Function)
        yield node


def constant_of(statement: ast.stmt) -> str | None:
    """Return the name a module-level assignment gives, if it is written in capitals."""
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    return names[0] if names and names[0].isupper() else None


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            name for name in folders if name not in _LEFT_OUT_FOLDERS and not _is_hidden(name)
        )
        for name in names:
            yield Path(folder) / name


def _is_hidden(name: str) -> bool:
    return name.startswith(".") and name != ".ci"


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _read(path: Path) -> SourceFile:
    text = path.read_text(encoding="utf-8")
    return SourceFile(path=_name(path), text=text, tree=ast.parse(text, filename=str(path)))
