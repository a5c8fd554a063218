"""What a use case is: definitions, and stories that people play with them. Read `UseCase` first.

A story is one run from its start to a stated end. The demo, the tests and the pictures play the
same ones, over the same public API; see `examples/playing.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

ROOT = Path(__file__).parent
TARGET_LINE = '  target: "http://127.0.0.1:8001"\n'

JsonObject: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decide:
    """A person decides what the run asks in a step, once it asks.

    `form` is what they fill in. A box to tick is ticked.
    """

    who: str
    step: str = "approve"
    decision: str = "approve"
    comment: str = ""
    form: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """An account sends an event; `{run}` in a text of its data is the run's id.

    `when` is the step or state the run must wait in first.
    """

    who: str = "relay"
    type: str
    data: Mapping[str, Any]
    when: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """An operator cancels the run, once it waits in the step `when`."""

    who: str = "rex"
    reason: str
    when: str


Act: TypeAlias = Decide | Send | Cancel


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One run: who starts it with what, what people do, and how it ends.

    `ends` is the outcome, or `waiting` for a run that then still waits in the step `waits_in`.
    `undone` are the steps that were compensated. With `event`, the event starts the run instead,
    and `inputs` are those the trigger gives it.
    """

    slug: str
    says: str
    by: str = "mara"
    workflow: str = ""  # by default the use case's
    inputs: Mapping[str, Any] = field(default_factory=dict)
    event: Send | None = None
    acts: tuple[Act, ...] = ()
    ends: str = "succeeded"
    waits_in: str = ""
    undone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCase:
    """A finished example: a folder with definitions, functions, data, a README and stories.

    `slug` is the folder's name, `workflow` the name of its main definition. `files` are published
    in this order: what is called comes first. `pictured` is the story whose page is its picture.
    """

    slug: str
    workflow: str
    title: str
    summary: str
    files: tuple[str, ...]
    stories: tuple[Story, ...]
    pictured: str

    @property
    def folder(self) -> Path:
        """Return where it is."""
        return ROOT / self.slug

    def sources(self, *, target_url: str) -> tuple[str, ...]:
        """Return its definitions, with the address of the demo's target in those that have one."""
        return tuple(
            (self.folder / name)
            .read_text(encoding="utf-8")
            .replace(TARGET_LINE, f'  target: "{target_url}"\n')
            for name in self.files
        )
