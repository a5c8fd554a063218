"""Whether a run may begin now: pauses, the backlog, quotas. Read `draw_admitted_number`.

Asked of what people, programs and triggers start. Called runs and successors are not asked: a run
that was let in would wait for them without end.
"""

import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from core.kernel import limits
from core.kernel.clock import SYSTEM_CLOCK, Clock
from core.toolkit.db import fetch_rows
from engine import conf
from engine.domain.errors import BackloggedError, PausedError, QuotaExceededError
from engine.flow_control import quotas

# What a start may be held back by for a while, and then goes through.
HELD_BACK = (PausedError, BackloggedError, QuotaExceededError)

# One statement for the usual start. The number is drawn only if nothing here is in its way; a
# project with a quota draws it in a second one. Runs that wait for a worker are counted as far as
# the bound, mostly a handful of index entries; those of the whole project only now and then.
_ADMIT = """
    WITH own AS MATERIALIZED (
        SELECT count(*) AS n FROM (
            SELECT 1 FROM engine_run WHERE workflow_id = %s::uuid AND status = 'READY'
            LIMIT %s::int) AS r),
    whole AS MATERIALIZED (
        SELECT CASE WHEN %s::boolean THEN (SELECT count(*) FROM (
            SELECT 1 FROM engine_workflow w
            JOIN engine_run r ON r.workflow_id = w.id AND r.status = 'READY'
            WHERE w.project_id = %s::uuid LIMIT %s::int) AS r) END AS n),
    pause AS MATERIALIZED (
        SELECT workflow_id, reason FROM engine_pause
        WHERE project_id = %s::uuid AND (workflow_id IS NULL OR workflow_id = %s::uuid)
        ORDER BY workflow_id NULLS FIRST LIMIT 1),
    quota AS MATERIALIZED (
        SELECT project_id, open_run_count_max, hour_start_count_max, day_start_count_max
        FROM engine_quota WHERE project_id = %s::uuid)
    SELECT own.n, whole.n, pause.reason, quota.project_id IS NOT NULL, quota.open_run_count_max,
        quota.hour_start_count_max, quota.day_start_count_max,
        CASE WHEN own.n < %s::int AND coalesce(whole.n, 0) < %s::int AND pause.reason IS NULL
            AND quota.project_id IS NULL AND NOT %s::boolean
        THEN nextval('engine_run_number_seq') END, clock_timestamp()
    FROM own CROSS JOIN whole LEFT JOIN pause ON true LEFT JOIN quota ON true"""

_NUMBER = "SELECT nextval('engine_run_number_seq'), clock_timestamp()"


@dataclass(slots=True, kw_only=True)
class _Measured:
    """How many runs a project had, when, and how many this process let in since."""

    count: int
    at: float
    added: int = 0


class Measures:
    """What was measured of projects in the last moment. Safe between threads.

    Other processes start runs meanwhile, so a bound may be passed by what they start in
    `limits.MEASURE_SECONDS`.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[UUID, _Measured] = {}

    def keep(self, project_id: UUID, count: int) -> None:
        """Keep what was measured just now."""
        with self._lock:
            if len(self._known) >= limits.MEASURED_PROJECT_COUNT_MAX:
                self._known.clear()
            self._known[project_id] = _Measured(count=count, at=self._clock.monotonic())

    def forget(self) -> None:
        """Forget everything: it is measured anew."""
        with self._lock:
            self._known.clear()

    def admit(self, project_id: UUID, *, most: int) -> bool | None:
        """Let one more in, or not; `None`: it has to be measured."""
        with self._lock:
            known = self._known.get(project_id)
            if known is None or self._clock.monotonic() - known.at >= limits.MEASURE_SECONDS:
                return None
            if known.count >= most:
                return False
            if known.count + known.added >= most:
                return None
            known.added += 1
            return True


_SPANS = {"hour": "an hour", "day": "a day"}
_ready = Measures()
_open = Measures()


def forget_measures() -> None:
    """Have everything measured anew, for who knows that something has changed."""
    _ready.forget()
    _open.forget()


def draw_admitted_number(*, workflow_id: UUID, project_id: UUID) -> tuple[int, datetime]:
    """Return the number of a run that may begin, and the database's clock. One statement.

    A project with a quota takes a few more. Nothing is drawn for a run that may not begin.
    Transaction: joins one; what a quota counts is taken back with it.

    Raises:
        PausedError: the workflow or its project is paused.
        BackloggedError: too many runs of the workflow or the project wait for a worker.
        QuotaExceededError: the project has, or has started, as many as it may.
    """
    most = (conf.workflow_ready_count_max(), conf.project_ready_count_max())
    is_known = _ready.admit(project_id, most=most[1])
    if is_known is False:
        raise _backlogged(of="project", most=most[1])
    is_bounded = quotas.effective((None, None, None)).is_bounded
    params = (
        *(workflow_id, most[0], is_known is None, project_id, most[1]),
        *(project_id, workflow_id, project_id, *most, is_bounded),
    )
    ((own, whole, reason, has_quota, *quota, number, at),) = fetch_rows(_ADMIT, params)
    if reason is not None:
        raise PausedError(f"It is paused: {reason}", reason=reason)
    if own >= most[0]:
        raise _backlogged(of="workflow", most=most[0])
    if whole is not None:
        _ready.keep(project_id, whole)
        if not _ready.admit(project_id, most=most[1]):
            raise _backlogged(of="project", most=most[1])
    if number is not None:
        return number, at
    allowed = quotas.effective(quota if has_quota else (None, None, None))
    return _draw_within(allowed, project_id=project_id)


def _draw_within(allowed: quotas.Limits, *, project_id: UUID) -> tuple[int, datetime]:
    if allowed.open_run_count_max:
        _check_open(project_id, most=allowed.open_run_count_max)
    with transaction.atomic():
        for span, most in (
            ("hour", allowed.hour_start_count_max),
            ("day", allowed.day_start_count_max),
        ):
            if most and not quotas.reserve(project_id=project_id, span=span, limit=most):
                raise QuotaExceededError(
                    f"The project starts at most {most} runs in {_SPANS[span]} (UTC), and has.",
                    limit=most,
                    of=f"starts in {_SPANS[span]}",
                    retry_after_seconds=quotas.seconds_left(span=span),
                )
    ((number, at),) = fetch_rows(_NUMBER, ())
    return number, at


def _check_open(project_id: UUID, *, most: int) -> None:
    is_in = _open.admit(project_id, most=most)
    if is_in is None:
        _open.keep(project_id, quotas.count_open(project_id=project_id, limit=most))
        is_in = _open.admit(project_id, most=most)
    if not is_in:
        raise QuotaExceededError(
            f"The project has at most {most} open runs, and has them.",
            limit=most,
            of="open runs",
            retry_after_seconds=limits.HELD_BACK_SECONDS,
        )


def _backlogged(*, of: str, most: int) -> BackloggedError:
    details: dict[str, Any] = {"of": of, "limit": most}
    return BackloggedError(
        f"{most} runs of the {of} wait for a worker already.",
        retry_after_seconds=limits.HELD_BACK_SECONDS,
        **details,
    )
