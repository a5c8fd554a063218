"""Plays stories against a running system, over its public API. Read `Player` first.

Every act is harmless when repeated: a start and a decision have keys made of the story's name, an
event has such an id. So a player that was interrupted is simply started again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from countersign import Client
from examples.stories import Act, Cancel, Decide, JsonObject, Send, Story, UseCase

_RESTING = ("waiting", "sleeping", "open")  # statuses of a step that somebody or time moves on


class StoryError(Exception):
    """The system did something else than the story says."""


@dataclass(slots=True, kw_only=True)
class Player:
    """Plays for everybody: `client_of` returns the client of an account."""

    project: str
    client_of: Callable[[str], Client]
    reader: str = "mara"  # who may see every run and request of the project
    wait_seconds: float = 120.0  # for any single thing; a busy machine needs some
    salt: str = ""  # makes other keys, and so new runs, of the same stories

    def play(self, case: UseCase, story: Story) -> JsonObject:
        """Play a story to its end, and return the run.

        Raises:
            StoryError: at the first thing that is not as the story says.
            ApiError: when something is refused that should not be.
        """
        return self.go_on(case, story, self.begin(case, story))

    def begin(self, case: UseCase, story: Story) -> str:
        """Start a story's run, unless that was done before; return the run's id."""
        workflow = story.workflow or case.workflow
        if story.event is None:
            started = self.client_of(story.by).start_run(
                self.project, workflow, inputs=story.inputs, idempotency_key=self._key(case, story)
            )
            return str(started["id"])
        self._send(case, story, story.event, run_id="", number=0)
        found = self._wait(
            lambda: self._find_started(workflow, story),
            bool,
            what="no run was started by the event",
        )
        return str(found["id"])

    def go_on(self, case: UseCase, story: Story, run_id: str) -> JsonObject:
        """Play what follows the start, and return the run. Raises: as `play`."""
        for number, act in enumerate(story.acts, start=1):
            self._act(case, story, act, run_id=run_id, number=number)
        if story.ends == "waiting":
            return self._wait_in(run_id, story.waits_in)
        run = self._wait(
            lambda: self._read(run_id),
            lambda run: run["status"] == "CLOSED",
            what=f"{case.slug}/{story.slug} does not end",
        )
        undone = sorted(
            step["step"]
            for step in run["steps"]
            if step["undoes"] and step["outcome"] == "succeeded"
        )
        if (run["outcome"], undone) != (story.ends, sorted(story.undone)):
            told = [(s["key"], s["outcome"], s.get("error")) for s in run["steps"]]
            message = f"{case.slug}/{story.slug} ended {run['outcome']}, undone {undone}: {told}"
            raise StoryError(message)
        return run

    def _act(self, case: UseCase, story: Story, act: Act, *, run_id: str, number: int) -> None:
        match act:
            case Decide():
                earlier = [item for item in story.acts[: number - 1] if _asks_same(item, act)]
                key = f"{self._key(case, story)}/{number}"
                self._decide(act, run_id=run_id, key=key, earlier_count=len(earlier))
            case Send():
                if act.when:
                    self._wait_for_visit(run_id, act.when, count=_count_visits(story, number))
                self._send(case, story, act, run_id=run_id, number=number)
            case Cancel():
                if self._wait_for_visit(run_id, act.when, count=1)["status"] != "CLOSED":
                    self.client_of(act.who).cancel_run(run_id, reason=act.reason)

    def _decide(self, act: Decide, *, run_id: str, key: str, earlier_count: int) -> None:
        """Decide the request of a step that asks this person now, unless they have.

        `earlier_count` is how often this person decides in this step before.
        """
        client = self.client_of(act.who)
        found = self._wait(
            lambda: self._find_request(act, run_id=run_id, earlier_count=earlier_count),
            bool,
            what=f"{act.who} is not asked in {act.step}",
        )
        if found.get("decided"):
            return
        seen = client.get_request(found["id"])
        client.decide(
            found["id"],
            act.decision,
            digest=seen["digest"],
            stage=seen["stage"] or "",
            comment=act.comment,
            form=act.form,
            confirmed=bool(seen["confirm"]),
            idempotency_key=key,
        )

    def _find_request(self, act: Decide, *, run_id: str, earlier_count: int) -> JsonObject:
        """Return the request this person may decide now, or `decided` if the story is past it."""
        if self._read(run_id)["status"] == "CLOSED":
            return {"decided": True}
        client = self.client_of(act.who)
        for item in client.list_requests(view="mine", run_id=run_id):
            if _step_of(item["step_key"]) == act.step:
                return item
        # A state machine asks the same person once for each visit.
        asked = client.list_requests(view="all", run_id=run_id)
        here = [item["id"] for item in asked if _step_of(item["step_key"]) == act.step]
        voters = [vote["username"] for id_ in here for vote in client.get_request(id_)["votes"]]
        return {"decided": True} if voters.count(act.who) > earlier_count else {}

    def _send(self, case: UseCase, story: Story, event: Send, *, run_id: str, number: int) -> None:
        data = {
            name: value.replace("{run}", run_id) if isinstance(value, str) else value
            for name, value in event.data.items()
        }
        self.client_of(event.who).send_event(
            self.project,
            event.type,
            data,
            source=f"/examples/{case.slug}",
            event_id=f"{self._key(case, story)}/{number}",
        )

    def _find_started(self, workflow: str, story: Story) -> JsonObject:
        for run in self.client_of(self.reader).list_runs(workflow=workflow):
            whole = self._read(run["id"])
            if whole["inputs"] == dict(story.inputs):
                return whole
        return {}

    def _wait_in(self, run_id: str, step: str) -> JsonObject:
        """Wait until a run rests in a step or state."""

        def rests(run: JsonObject) -> bool:
            return run["status"] == "WAITING" and any(
                item["step"] == step and item["status"] in _RESTING for item in run["steps"]
            )

        return self._wait(lambda: self._read(run_id), rests, what=f"it does not wait in {step}")

    def _wait_for_visit(self, run_id: str, step: str, *, count: int) -> JsonObject:
        """Wait until a run has come to a step or state so often, or is over.

        Where it is past that, what follows was done before: repeating it is harmless.
        """

        def has_come(run: JsonObject) -> bool:
            visits = [
                item
                for item in run["steps"]
                if item["step"] == step and (item["status"] in _RESTING or item["outcome"])
            ]
            return run["status"] == "CLOSED" or len(visits) >= count

        return self._wait(lambda: self._read(run_id), has_come, what=f"it never was in {step}")

    def _key(self, case: UseCase, story: Story) -> str:
        return "/".join(filter(None, ("examples", case.slug, story.slug, self.salt)))

    def _read(self, run_id: str) -> JsonObject:
        return self.client_of(self.reader).get_run(run_id)

    def _wait(
        self, read: Callable[[], JsonObject], holds: Callable[[JsonObject], Any], *, what: str
    ) -> JsonObject:
        try:
            return self.client_of(self.reader).wait_until(
                read, lambda value: bool(holds(value)), timeout_seconds=self.wait_seconds
            )
        except TimeoutError as error:
            raise StoryError(f"{what}: {error}") from error


def _count_visits(story: Story, number: int) -> int:
    """Return how many events the story has sent in the same step up to an act."""
    acts = [act for act in story.acts[:number] if isinstance(act, Send)]
    return sum(act.when == acts[-1].when for act in acts)


def _asks_same(one: Act, other: Decide) -> bool:
    return isinstance(one, Decide) and (one.who, one.step) == (other.who, other.step)


def _step_of(key: str) -> str:
    """Return the id of a step from its key: `review` of `review#2`."""
    return key.rpartition("/")[2].partition("#")[0]
