"""Recorded histories: a plan and the events of a run of it, as one JSON file. Read `History`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from core.kernel.canonical import digest
from core.kernel.types import Json
from engine.domain.decider import Decider
from engine.domain.events import Event
from engine.domain.plan import Plan
from engine.domain.plan_json import plan_from_json, plan_to_json
from tests.pure_run import EVALUATOR, VERBS

FOLDER = Path(__file__).parent / "histories"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What was recorded once. `steps` are the outcome or status of every key at its end."""

    name: str
    plan: Plan
    events: tuple[Event, ...]
    outcome: str
    steps: dict[str, str]

    def decider(self) -> Decider:
        """Return today's rules for the plan."""
        return Decider(plan=self.plan, evaluator=EVALUATOR, verbs=VERBS)


def make_history(name: str, *, plan: Plan, events: Sequence[Event], state: Any) -> History:
    """Return a run that has ended as a history."""
    return History(
        name=name,
        plan=plan,
        events=tuple(events),
        outcome=str(state.closing.outcome),
        steps={key: str(step.outcome or step.status) for key, step in state.steps.items()},
    )


def write_history(history: History, *, folder: Path = FOLDER) -> Path:
    """Write a history that is not there yet.

    Raises:
        FileExistsError: it is. What was recorded stays as it was recorded: a version that cannot
            replay it cannot replay runs of that time either.
    """
    document = {
        "plan": plan_to_json(history.plan),
        "outcome": history.outcome,
        "steps": history.steps,
        "events": [
            {
                "seq": event.seq,
                "kind": str(event.kind),
                "at": event.at.isoformat(),
                "data": dict(event.data),
                "payloads": dict(event.payloads),
            }
            for event in history.events
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{history.name}.json"
    with path.open("x", encoding="utf-8") as file:
        json.dump(document, file, indent=1, sort_keys=True, ensure_ascii=False)
        file.write("\n")
    return path


def read_history(path: Path) -> History:
    """Return a history from its file."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    events = tuple(
        Event(
            kind=item["kind"],
            at=datetime.fromisoformat(item["at"]),
            data=item["data"],
            payloads=item["payloads"],
            seq=item["seq"],
        )
        for item in document["events"]
    )
    return History(
        name=path.stem,
        plan=plan_from_json(document["plan"]),
        events=events,
        outcome=document["outcome"],
        steps=document["steps"],
    )


def digest_of(path: Path) -> str:
    """Return the digest of what a file says, in hex."""
    value: Json = json.loads(path.read_text(encoding="utf-8"))
    return digest(value).hex()
