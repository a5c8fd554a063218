"""What happened in a run, in words for a terminal. Read `tell`.

The portal knows more: it has the version's plan. Here is what an entry says by itself, and an entry
of a kind that a newer server wrote is named as it is.
"""

from collections.abc import Mapping
from typing import Any

from countersign.cli.output import one_line

_TEXT_CHARS_MAX = 300

# {…} are keys of the entry's data; a payload's begin with a dot.
_SENTENCES: Mapping[str, str] = {
    "run.started": "the run started: {.title}",
    "run.admitted": "the run's turn in its group came",
    "run.owned": "a worker took the run",
    "step.started": "the run went on",
    "step.completed": "{key} completed",
    "attempt.failed": "attempt {attempt} of {key} failed ({error}): {.message}",
    "attempt.lost": "attempt {attempt} of {key} was lost with its worker",
    "attempt.uncertain": "nobody knows whether attempt {attempt} of {key} happened",
    "attempt.late": "attempt {attempt} of {key} ended too late",
    "step.admitted": "{key} passed its {gate}",
    "step.held": "{keys} wait for a gate",
    "step.reused": "{key} took an equal step's result from the cache",
    "timer.fired": "time was up for {timer}",
    "event.awaited": "{key} waits for the event {type}",
    "event.received": "{key} received the event {type}",
    "event.emitted": "{key} sent the event {type}",
    "child.started": "{key} started the run {run}",
    "step.refused": "{key} could not do what it wanted ({error}): {.message}",
    "child.closed": "the run that {key} called ended: {outcome}",
    "question.asked": "{key} asks people what becomes of it",
    "question.resolved": "the question about {key} was answered: {choice}",
    "wait.withdrawn": "what {key} waited for was taken back",
    "approval.requested": "{key} asks people to decide",
    "approval.resolved": "{key} was decided: {outcome}",
    "attempt.claimed": "a program outside took attempt {attempt} of {key}",
    "run.paused": "somebody paused the run: {.reason}",
    "run.resumed": "somebody let the run go on: {.reason}",
    "step.retry_requested": "somebody had {key} tried again: {.reason}",
    "step.skip_requested": "somebody had {key} skipped: {.reason}",
    "event.addressed": "somebody sent this run the event {type}: {.reason}",
    "run.cancel_requested": "somebody cancelled the run: {.reason}",
    "run.closed": "the run ended: {outcome}",
    "run.halted": "the run was halted: {code}",
}


def tell(event: Mapping[str, Any]) -> str:
    """Return what an entry of a run's stream says, with what followed from it."""
    data, payloads = event.get("data") or {}, event.get("payloads") or {}
    values = {**data, **{f".{name}": value for name, value in payloads.items()}}
    template = _SENTENCES.get(str(event.get("kind")))
    said = _fill(template, values) if template else _name(event, data)
    after = _tell_after(data, payloads)
    return f"{said}; {after}" if after else said


def tell_step(step: Mapping[str, Any]) -> str:
    """Return how a step stands, in a few words."""
    said = str(step.get("outcome") or step["status"])
    if step.get("attempt", 0) > 1:
        said += f" (attempt {step['attempt']})"
    error = step.get("error")
    if error:
        said += f": {error['kind']}: {one_line(error['message'])[:_TEXT_CHARS_MAX]}"
    return said


def _fill(template: str, values: Mapping[str, Any]) -> str:
    """Return a template with its holes filled; it ends before the first that has no value."""
    parts = template.split("{")
    said = parts[0]
    for part in parts[1:]:
        name, _, rest = part.partition("}")
        value = values.get(name)
        if value in (None, ""):
            return said.rstrip(" :(")
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        said += one_line(text)[:_TEXT_CHARS_MAX] + rest
    return said


def _name(event: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    key = f" {data['key']}" if "key" in data else ""
    return one_line(f"{event.get('kind')}{key}")


def _tell_after(data: Mapping[str, Any], payloads: Mapping[str, Any]) -> str:
    """Return what ended and what began because of it."""
    record: Any = data.get("decided") or {}
    record = payloads.get("decided", record) if "digest" in record else record
    parts = [f"{item['key']} {item['outcome']}" for item in record.get("settled", ())]
    begun = [str(item["key"]) for item in record.get("next", ())]
    if begun:
        parts.append(f"began {', '.join(begun)}")
    return one_line("; ".join(parts))
