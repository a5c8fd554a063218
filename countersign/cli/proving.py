"""The command `test`: definitions played in memory. Read `test`."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from countersign.cli.doorway import Session, command, say_problem
from countersign.cli.errors import CommandError, Exit, Finished
from countersign.cli.files import TEST_SUFFIXES
from countersign.cli.output import plain
from countersign.cli.root import countersign
from countersign.testing.cases import schema_text
from countersign.testing.verdicts import FileVerdict, Verdict, run_file


@command(countersign)
@click.argument("places", nargs=-1, metavar="FILE|DIR…")
@click.option("--case", "only", default="", help="Only cases with this in their name.")
@click.option("--junit", metavar="FILE", help="Also write the results as JUnit XML.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of test files, for editors.")
def test(
    session: Session, places: tuple[str, ...], only: str, junit: str | None, *, schema: bool
) -> None:
    """Play runs of definitions in memory, with canned results, decisions and virtual time.

    Takes `*.test.yaml` files, or folders with such files at any depth. Needs no server. Exit code 1
    if an expectation does not hold.
    """
    if schema:
        click.echo(schema_text().rstrip())
        return
    if not places:
        raise CommandError("name a *.test.yaml file, or a folder with such files")
    verdicts = [run_file(path, only=only) for path in _find_files(places)]
    problems = [_problem(name, item) for file in verdicts for name, item in file.problems]
    cases = [case for file in verdicts for case in file.verdicts]
    if not cases and not problems:
        raise CommandError("no case has that in its name", code="cli.no_cases")
    if junit:
        _write_junit(Path(junit), verdicts)
    failed = [case for case in cases if not case.holds]
    session.out.document(
        {
            "passed": len(cases) - len(failed),
            "failed": len(failed),
            "problems": problems,
            "files": [_as_json(file) for file in verdicts],
        }
    )
    for file in verdicts:
        for line, style in _tell(file):
            session.out.line(line, style=style)
    said = f"{len(cases) - len(failed)} passed, {len(failed)} failed"
    said += f", {len(problems)} problems" if problems else ""
    session.out.line(said, style="red" if failed or problems else "green")
    if failed or problems:
        raise Finished(Exit.REFUSED)


def _find_files(places: Sequence[str]) -> list[Path]:
    """Return the test files. Raises: CommandError."""
    found: dict[str, Path] = {}
    for place in places:
        root = Path(place)
        paths = [root]
        if root.is_dir():
            paths = sorted(path for path in root.rglob("*") if path.name.endswith(TEST_SUFFIXES))
            if not paths:
                raise CommandError(f"{place} holds no *.test.yaml", code="cli.no_cases")
        elif not root.is_file():
            raise CommandError(f"{place}: there is no such file", code="cli.file")
        found.update((str(path), path) for path in paths)
    return list(found.values())


def _problem(file: str, problem: Any) -> dict[str, Any]:
    known = {key: value for key, value in asdict(problem).items() if value not in {None, ""}}
    return {"file": file, **known}


def _as_json(file: FileVerdict) -> dict[str, Any]:
    return {
        "file": file.path,
        "cases": [
            {"name": case.name, "line": case.line, "holds": case.holds, "failures": case.failures}
            for case in file.verdicts
        ],
    }


def _tell(file: FileVerdict) -> Iterator[tuple[str, str]]:
    """Yield the lines about a file, each with its style."""
    for name, problem in file.problems:
        yield say_problem(_problem(name, problem)), "red"
    for case in file.verdicts:
        word, style = ("ok    ", "green") if case.holds else ("FAILED", "red")
        yield f"{word} {file.path}:{case.line} {case.name}", style
        for failure in case.failures:
            yield f"         {failure}", ""
        if case.steps:
            yield f"         the steps: {_say_steps(case)}", "dim"


def _say_steps(case: Verdict) -> str:
    return ", ".join(f"{key} {stand}" for key, stand in case.steps)


def _write_junit(path: Path, files: Sequence[FileVerdict]) -> None:
    """Write what CI systems read."""
    root = ET.Element("testsuites")
    for file in files:
        suite = ET.SubElement(
            root,
            "testsuite",
            name=file.path,
            tests=str(len(file.verdicts)),
            failures=str(sum(not case.holds for case in file.verdicts)),
            errors=str(len(file.problems)),
        )
        for name, problem in file.problems:
            case = ET.SubElement(suite, "testcase", classname=file.path, name=name)
            said = say_problem(_problem(name, problem))
            ET.SubElement(case, "error", message=said)
        for verdict in file.verdicts:
            case = ET.SubElement(suite, "testcase", classname=file.path, name=plain(verdict.name))
            if not verdict.holds:
                failure = ET.SubElement(case, "failure", message=plain(verdict.failures[0]))
                failure.text = plain("\n".join(verdict.failures))
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
