"""Playing whole test files. Read `run_file`."""

from dataclasses import dataclass, replace
from pathlib import Path

from core.kernel.errors import Problem
from countersign.testing.cases import Case, read_cases
from countersign.testing.compiling import compile_definition
from countersign.testing.judging import judge, list_steps
from countersign.testing.plays import PlayError, play
from engine.domain.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one case. `failures` is empty where it holds; `steps` help to see why not."""

    name: str
    line: int
    failures: tuple[str, ...] = ()
    steps: tuple[tuple[str, str], ...] = ()

    @property
    def holds(self) -> bool:
        """Say whether everything was as expected."""
        return not self.failures


@dataclass(frozen=True, slots=True, kw_only=True)
class FileVerdict:
    """What became of a test file. With `problems`, which name their `file`, nothing was played."""

    path: str
    verdicts: tuple[Verdict, ...] = ()
    problems: tuple[tuple[str, Problem], ...] = ()


def run_file(path: Path, *, only: str = "") -> FileVerdict:
    """Play the cases of a test file, those whose name has `only` in it.

    Raises:
        OSError: the file cannot be read.
    """
    file = read_cases(path.read_bytes())
    if file.problems:
        found = tuple((str(path), problem) for problem in file.problems)
        return FileVerdict(path=str(path), problems=found)
    definition = path.parent / file.definition
    try:
        source = definition.read_bytes()
    except OSError as error:
        message = f"The definition {definition} cannot be read: {error.strerror or error}."
        problem = Problem(message=message, path="/definition", line=1, column=1)
        return FileVerdict(path=str(path), problems=((str(path), problem),))
    compilation = compile_definition(source)
    if compilation.plan is None:
        errors = [problem for problem in compilation.problems if problem.severity == "error"]
        found = tuple((str(definition), problem) for problem in errors)
        return FileVerdict(path=str(path), problems=found)
    chosen = [replace(case, name=case.name or compilation.name) for case in file.cases]
    verdicts = [_run_case(compilation.plan, case) for case in chosen if only in case.name]
    return FileVerdict(path=str(path), verdicts=tuple(verdicts))


def _run_case(plan: Plan, case: Case) -> Verdict:
    try:
        played = play(plan, case)
    except PlayError as error:
        return Verdict(name=case.name, line=case.line, failures=(str(error),))
    differences = judge(played, case.expect)
    return Verdict(
        name=case.name,
        line=case.line,
        failures=tuple(map(str, differences)),
        steps=tuple(list_steps(played)) if differences else (),
    )
