"""How the ledger's pages name what the engine writes. Read `register`."""

from collections.abc import Collection, Mapping
from typing import Final
from uuid import UUID

from django.urls import reverse

from audit.wording import SubjectName, register_kinds, register_subject
from engine.domain.events import EventKind
from engine.portal.context.kind_words import KIND_WORDS
from engine.portal.naming import short_key
from engine.selectors import subjects

# What each kind says of who did it, mostly the engine. Kinds without a line say their words.
_SAYS: Final[Mapping[EventKind, str]] = {
    EventKind.RUN_STARTED: "started the run",
    EventKind.RUN_ADMITTED: "let the run through: its turn in its group came",
    EventKind.RUN_OWNED: "had a worker take the run[, turn {epoch}]",
    EventKind.RUN_MIGRATED: "moved the run to[ version {rev}]",
    EventKind.STEP_STARTED: "began steps",
    EventKind.STEP_COMPLETED: "saw {key} succeed[, attempt {attempt}]",
    EventKind.ATTEMPT_FAILED: "saw an attempt of {key} fail[: {error}]",
    EventKind.ATTEMPT_LOST: "lost an attempt of {key}: its worker died",
    EventKind.ATTEMPT_UNCERTAIN: "does not know whether {key} happened: a person says",
    EventKind.ATTEMPT_LATE: "noted what came too late of {key}",
    EventKind.ATTEMPT_CLAIMED: "took the task of {key}[ as {worker}]",
    EventKind.STEP_ADMITTED: "let {key} through its gate",
    EventKind.STEP_HELD: "held {keys} back",
    EventKind.STEP_REUSED: "took over an equal result for {key}",
    EventKind.TIMER_FIRED: "noted that the time was up[: {timer}]",
    EventKind.EVENT_AWAITED: "waits for an event[ {type}][ at {key}]",
    EventKind.EVENT_RECEIVED: "received an event[ {type}][ at {key}]",
    EventKind.EVENT_EMITTED: "sent an event[ {type}][ from {key}]",
    EventKind.CHILD_STARTED: "called another run[ at {key}]",
    EventKind.CHILD_CLOSED: "saw the called run end[: {outcome}]",
    EventKind.STEP_REFUSED: "refused what {key} wanted[: {error}]",
    EventKind.QUESTION_ASKED: "asked people what becomes of {key}",
    EventKind.QUESTION_RESOLVED: "heard the answer about {key}[: {choice}]",
    EventKind.WAIT_WITHDRAWN: "took back the wait of {key}",
    EventKind.APPROVAL_REQUESTED: "asked for an approval[ at {key}]",
    EventKind.APPROVAL_RESOLVED: "saw the approval end[: {outcome}][ at {key}]",
    EventKind.RUN_CANCEL_REQUESTED: "asked to cancel the run",
    EventKind.RUN_PAUSED: "paused the run",
    EventKind.RUN_RESUMED: "let the run go on",
    EventKind.STEP_RETRY_REQUESTED: "had {key} tried again",
    EventKind.STEP_SKIP_REQUESTED: "had {key} skipped",
    EventKind.EVENT_ADDRESSED: "sent an event[ {type}] to the run",
    EventKind.RUN_CLOSED: "ended the run[: {outcome}]",
    EventKind.RUN_HALTED: "halted the run[: {code}]",
}
_WORKFLOWS: Final = {
    "version.saved": ("Version saved", "saved[ version {rev}] of the workflow"),
    "version.published": ("Version published", "published[ version {rev}]"),
    "workflow.paused": ("Workflow paused", "paused the workflow: nothing starts by itself"),
    "workflow.resumed": ("Workflow resumed", "let the workflow start again"),
    "trigger.paused": ("Trigger paused", "paused a trigger[: {trigger}]"),
    "trigger.resumed": ("Trigger resumed", "let a trigger act again[: {trigger}]"),
    "trigger.secret_made": ("Trigger secret made", "made a trigger's secret[: {trigger}]"),
    "trigger.failed": ("Trigger failed", "could not start a run[: {code}]"),
    "trigger.refused": ("Trigger refused", "refused to start a run[: {code}]"),
    "trigger.refusals_left_out": (
        "Refusals counted",
        "refused {left_out_count} more like it, only counted",
    ),
    "trigger.skipped": ("Trigger skipped", "skipped what was due"),
    "backfill.started": ("Backfill started", "began to make up for what was missed"),
    "backfill.cancelled": ("Backfill cancelled", "cancelled a backfill"),
    "backfill.ended": ("Backfill ended", "ended a backfill"),
}


def register() -> None:
    """Name the kinds and the subjects; called in `ready()`."""
    runs = {
        kind.value: (KIND_WORDS[kind], _SAYS.get(kind, KIND_WORDS[kind].lower()))
        for kind in EventKind
    }
    register_kinds(
        "runs",
        label="Runs",
        icon="activity",
        words=runs,
        spell={"key": short_key, "keys": short_key},
    )
    register_kinds("workflows", label="Workflows", icon="workflow", words=_WORKFLOWS)
    register_subject("run", name=_name_runs, find=_find_run)
    register_subject("workflow", name=_name_workflows)
    register_subject("version", name=_name_versions)
    register_subject("secret", name=_name_secrets)


def _name_runs(ids: Collection[UUID]) -> Mapping[UUID, SubjectName]:
    return {
        run.id: SubjectName(
            words=f"Run {run.number} {run.title}",
            href=reverse("engine_portal:run", args=(run.id,)),
            looks_back=True,
        )
        for run in subjects.list_run_names(run_ids=ids)
    }


def _find_run(text: str) -> UUID | None:
    word, _, number = text.strip().lower().rpartition(" ")
    return subjects.find_run_id(number=int(number)) if word == "run" and _fits(number) else None


def _fits(number: str) -> bool:
    return number.isascii() and number.isdigit() and len(number) <= 18  # noqa: PLR2004  # a bigint


def _name_workflows(ids: Collection[UUID]) -> Mapping[UUID, SubjectName]:
    return {
        item.id: SubjectName(
            words=f"Workflow {item.slug}",
            href=reverse("engine_portal:workflow", args=(item.project_slug, item.slug)),
        )
        for item in subjects.list_workflow_names(workflow_ids=ids)
    }


def _name_versions(ids: Collection[UUID]) -> Mapping[UUID, SubjectName]:
    return {
        item.id: SubjectName(
            words=f"Workflow {item.slug} v{item.rev}",
            href=reverse("engine_portal:version", args=(item.project_slug, item.slug, item.rev)),
        )
        for item in subjects.list_version_names(version_ids=ids)
    }


def _name_secrets(ids: Collection[UUID]) -> Mapping[UUID, SubjectName]:
    return {
        secret_id: SubjectName(words=f"Secret {name}")
        for secret_id, name in subjects.list_secret_names(secret_ids=ids)
    }
