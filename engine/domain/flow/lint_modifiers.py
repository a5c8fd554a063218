"""What is wrong with a step's modifiers. Read `ModifierLinter`."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from core.kernel import limits
from core.kernel.types import Json
from engine.domain.expressions import RUN_NAMES, ExpressionError
from engine.domain.flow.draft import JoinDraft, StepDraft
from engine.domain.flow.meaning import axes_of
from engine.domain.flow.positions import pointer
from engine.domain.flow.problems import Code, did_you_mean, quoted
from engine.domain.flow.reading import enough_at, list_at, map_at, seconds_at, text_at
from engine.domain.flow.references import read_references
from engine.domain.flow.templates import Hole, TemplateError, split_template
from engine.domain.flow.tokens import TokenError
from engine.domain.flow.tools import Tools
from engine.domain.plan import Join

RESERVED_NAMES = (*RUN_NAMES, "result", "matrix", "secrets", "user", "subject")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifierLinter:
    """Checks joins, repetitions, times and gates."""

    tools: Tools

    def check(self, step: StepDraft) -> None:
        """Check every modifier that is not about actions."""
        self._check_join(step)
        self._check_read_ends(step)
        self._check_depth(step)
        if step.is_map:
            self._check_map(step)
        if step.is_matrix:
            self._check_matrix(step)
        if step.is_loop:
            self._check_loop(step)
        self._check_times(step)
        self._check_gates(step)

    # --- needs -------------------------------------------------------------------------------

    def _check_join(self, step: StepDraft) -> None:
        path, kind = f"{step.path}/join", step.join.kind
        if kind == Join.ALL:
            return
        if step.verb == "approval":
            message = "An approval always waits for all its needs to end well; remove `join`."
            self.tools.reporter.error(Code.MISPLACED_KEY, path, message)
        elif kind in {Join.ANY, Join.COUNT} and not step.needs:
            message = "It can never start: `needs` names nothing that could end well."
            self.tools.reporter.error(Code.BAD_JOIN, path, message)
        elif step.join.count > len(step.needs):
            message = (
                f"It can never start: {step.join.count} needs shall end well, and there are only "
                f"{len(step.needs)}."
            )
            self.tools.reporter.error(Code.BAD_JOIN, path, message)

    def _check_read_ends(self, step: StepDraft) -> None:
        """Check that a decision which a step would pass over is read by its `if`."""
        level = self.tools.draft.levels[step.level]
        outcomes, winners = _ends_read(step.condition or "")
        for need, path in step.needs.items():
            above = level.steps.get(need)
            if above is None or above.path not in self.tools.gated:
                continue
            if above.verb == "race" and not (above.is_map or above.is_matrix):
                if need not in winners:
                    message = (
                        f"`{need}` holds an approval and may be won without it, so this needs an "
                        f"`if` that reads `steps.{need}.outputs.winner`."
                    )
                    self.tools.reporter.error(Code.UNREAD_OUTCOME, path, message)
            elif (
                step.join.kind == Join.ALL_SETTLED
                and step.verb not in {"emit", "approval"}
                and need not in outcomes
            ):
                message = (
                    f"It would start whatever `{need}` decides. Directly after an approval "
                    f"`all-settled` needs an `if` that reads `steps.{need}.outcome`."
                )
                self.tools.reporter.error(Code.UNREAD_OUTCOME, f"{step.path}/join", message)

    # --- repetition --------------------------------------------------------------------------

    def _check_depth(self, step: StepDraft) -> None:
        before = self.tools.draft.levels[step.level].depth
        own = (step.is_map or step.is_matrix) + step.is_loop + bool(step.inner)
        if before <= limits.CONTAINER_DEPTH_MAX < before + own:
            message = (
                "Groups, races, maps, matrices and loops are at most "
                f"{limits.CONTAINER_DEPTH_MAX} deep inside each other."
            )
            self.tools.reporter.error(Code.TOO_LARGE, step.path, message, at_key=True)

    def _check_map(self, step: StepDraft) -> None:
        path, value = f"{step.path}/map", map_at(step.value, "map")
        where = self.tools.outside(step)
        items = text_at(value, "items")
        if items:
            self.tools.checker.check_expression(items, path=f"{path}/items", where=where)
        name_path = f"{path}/as" if "as" in value else path
        if not self.tools.reporter.has_error_at(name_path):
            self._check_name(step, path=name_path)

    def _check_name(self, step: StepDraft, *, path: str) -> None:
        """Check what a map calls its items."""
        reporter, name = self.tools.reporter, step.item
        if name in RESERVED_NAMES:
            message = f"`{name}` means something else in expressions; choose another `as`."
            reporter.error(Code.BAD_NAME, path, message)
        elif name in self.tools.draft.levels[step.level].names:
            message = f"A map around this one calls its item `{name}` too; choose another `as`."
            reporter.error(Code.BAD_NAME, path, message)
        else:
            try:
                self.tools.checker.evaluator.check(name, names=(name,))
            except ExpressionError:
                message = f"`{name}` is a word of CEL; choose another `as`."
                reporter.error(Code.BAD_NAME, path, message)

    def _check_matrix(self, step: StepDraft) -> None:
        path, value = f"{step.path}/strategy", map_at(step.value, "strategy")
        reporter, axes = self.tools.reporter, axes_of(step)
        if "matrix" in self.tools.draft.levels[step.level].names:
            message = (
                "There is a `strategy` around this one, whose `matrix` could not be read inside; "
                "use `map`."
            )
            reporter.error(Code.BAD_NAME, path, message, at_key=True)
        for name, axis in axes.items():
            self._check_axis(axis, step=step, path=pointer(["matrix", name], base=path))
        for index, entry in enumerate(list_at(value, "exclude")):
            for name in entry if isinstance(entry, dict) else ():
                if name not in axes:
                    message = f"`matrix` has no {quoted(name)}.{did_you_mean(name, axes)}"
                    place = pointer(["exclude", index, name], base=path)
                    reporter.error(Code.BAD_MATRIX, place, message, at_key=True)
        self._check_cells(axes, value, path=path)

    def _check_axis(self, axis: Json, *, step: StepDraft, path: str) -> None:
        where = self.tools.outside(step)
        if isinstance(axis, str) and axis.strip() and not _is_one_hole(axis):
            message = "This must be a list, or one `${{ … }}` whose value is a list."
            self.tools.reporter.error(Code.BAD_MATRIX, path, message)
            return
        self.tools.checker.check_template(axis, path=path, where=where)

    def _check_cells(self, axes: dict[str, Json], value: dict[str, Json], *, path: str) -> None:
        """Check the number of combinations as far as it is known here."""
        reporter = self.tools.reporter
        known = [axis for axis in axes.values() if isinstance(axis, list)]
        count = prod(len(axis) for axis in known)
        if count > limits.MATRIX_CELL_COUNT_MAX:
            message = (
                f"These are {count} combinations; at most {limits.MATRIX_CELL_COUNT_MAX} are done. "
                "Use `map` for long lists."
            )
            reporter.error(Code.BAD_MATRIX, f"{path}/matrix", message)
        elif len(known) == len(axes) and count:
            left = sum(1 for _ in _cells(axes, list_at(value, "exclude")))
            if left == 0:
                message = "`exclude` leaves out every combination."
                reporter.error(Code.BAD_MATRIX, f"{path}/exclude", message)
            self._check_enough(enough_at(value, "join"), most=left or count, path=f"{path}/join")

    def _check_enough(self, join: JoinDraft, *, most: int, path: str) -> None:
        if join.count > most:
            message = f"It can never have enough: there are only {most} combinations."
            self.tools.reporter.error(Code.BAD_JOIN, f"{path}/count", message)

    def _check_loop(self, step: StepDraft) -> None:
        path, value = f"{step.path}/loop", map_at(step.value, "loop")
        where = self.tools.inside(step, also=("result",))
        for key in ("until", "while"):
            condition = text_at(value, key)
            if condition:
                self.tools.checker.check_expression(
                    condition, path=f"{path}/{key}", where=where, is_condition=True
                )
        delay = seconds_at(value, "delay")
        self.tools.check_seconds(delay, path=f"{path}/delay", what="A delay", most=limits.PAUSE_MAX)

    # --- time --------------------------------------------------------------------------------

    def _check_times(self, step: StepDraft) -> None:
        tools, timeout = self.tools, step.value.get("timeout")
        base = f"{step.path}/timeout"
        inner = map_at(step.value, "timeout")
        attempt = step.action.timeout_seconds if step.action is not None else None
        path = f"{base}/attempt" if isinstance(timeout, dict) else base
        tools.check_seconds(attempt, path=path, what="A timeout", most=limits.STEP_TIMEOUT_MAX)
        path = f"{base}/total" if isinstance(timeout, dict) else base
        tools.check_seconds(step.total_seconds, path=path, what="A timeout", most=limits.TIMER_MAX)
        if "attempt" in inner and step.action is None:
            message = "Only `uses` makes attempts; write the `total` here."
            tools.reporter.error(Code.MISPLACED_KEY, f"{base}/attempt", message, at_key=True)
        elif (
            attempt is not None
            and step.total_seconds is not None
            and (step.total_seconds < attempt)
        ):
            message = "`total` is shorter than `attempt`."
            tools.reporter.error(Code.BAD_DURATION, f"{base}/total", message)
        self._check_heartbeat(step, attempt=attempt)

    def _check_heartbeat(self, step: StepDraft, *, attempt: float | None) -> None:
        path, seconds = f"{step.path}/heartbeat", seconds_at(step.value, "heartbeat")
        default = limits.STEP_TIMEOUT_DEFAULT.total_seconds()
        longest = attempt or self.tools.draft.timeout_seconds or default
        if seconds is not None and seconds >= longest:
            message = "It must be shorter than the attempt's `timeout`, which ends it anyway."
            self.tools.reporter.error(Code.BAD_DURATION, path, message)
            return
        self.tools.check_seconds(
            seconds,
            path=path,
            what="A heartbeat",
            least=limits.HEARTBEAT_MIN,
            most=limits.STEP_TIMEOUT_MAX,
        )

    def _check_gates(self, step: StepDraft) -> None:
        tools, inside = self.tools, self.tools.inside(step)
        mutex = text_at(step.value, "mutex")
        where = tools.outside(step)
        tools.checker.check_template(mutex, path=f"{step.path}/mutex", where=where)
        for gate in ("rate", "circuit", "cache"):
            value = map_at(step.value, gate)
            path = f"{step.path}/{gate}/key"
            tools.checker.check_template(text_at(value, "key"), path=path, where=inside)
        for gate, key, most in (
            ("rate", "per", limits.GATE_WINDOW_MAX),
            ("circuit", "window", limits.GATE_WINDOW_MAX),
            ("circuit", "cool-down", limits.GATE_WINDOW_MAX),
            ("cache", "ttl", limits.PAUSE_MAX),
        ):
            seconds = seconds_at(map_at(step.value, gate), key)
            path = f"{step.path}/{gate}/{key}"
            tools.check_seconds(seconds, path=path, what=f"`{key}`", most=most)


def _ends_read(expression: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the steps whose outcome, and the races whose winner, a condition reads."""
    try:
        found = read_references(expression).found
    except TokenError:
        return frozenset(), frozenset()
    outcomes: set[str] = set()
    winners: set[str] = set()
    for item in found:
        if item.name == "steps" and item.fields[1:3] in {("outcome",), ("outputs", "outcome")}:
            outcomes.add(str(item.fields[0]))
        elif item.name == "steps" and item.fields[1:3] == ("outputs", "winner"):
            winners.add(str(item.fields[0]))
    return frozenset(outcomes), frozenset(winners)


def _is_one_hole(text: str) -> bool:
    try:
        parts = split_template(text.strip())
    except TemplateError:
        return True  # what is wrong with it is said where its expressions are checked
    return len(parts) == 1 and isinstance(parts[0], Hole)


def _cells(axes: dict[str, Json], exclude: list[Json]) -> Iterator[dict[str, Json]]:
    """Yield the combinations of axes that are lists, without those left out."""
    cells: list[dict[str, Json]] = [{}]
    for name, axis in axes.items():
        assert isinstance(axis, list), "the caller looked"
        cells = [{**cell, name: value} for cell in cells for value in axis]
    for cell in cells:
        if not any(_fits(cell, entry) for entry in exclude if isinstance(entry, dict) and entry):
            yield cell


def _fits(cell: dict[str, Json], entry: dict[str, Json]) -> bool:
    return all(name in cell and cell[name] == value for name, value in entry.items())
