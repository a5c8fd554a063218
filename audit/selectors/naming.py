"""Names for what entries hold as ids: who acted, where, and about what. Read `find_names`.

Asked only about entries that the reader may see, and only then: whoever reads an entry may know
what its ids are called.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from audit import wording
from audit.domain.entry import EntryView, stream_id_of
from audit.wording import SubjectName
from core.identity.models import Project, Scope, User
from core.kernel.record import Actor, ActorKind

_STREAM_NAMES: Final = ("identity", "access", "ledger")
_OWN_ACTORS: Final = {"engine": "The engine", "system": "The platform"}
_ACCOUNT_NOUNS: Final = frozenset({"user", "session", "sessions", "member"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorName:
    """Who acted. `kind` is person, service, agent or system; `username` is "" for no account."""

    id: str
    name: str
    username: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A project."""

    project: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Names by id, of what is in some entries."""

    accounts: Mapping[str, tuple[str, str]]
    places: Mapping[UUID, Place]
    subjects: Mapping[str, SubjectName]
    streams: Mapping[UUID, str]

    def actor(self, actor: Actor) -> ActorName:
        """Return who somebody is."""
        name, username = self.accounts.get(actor.id, ("", ""))
        if not name:
            is_own = actor.kind is ActorKind.SYSTEM
            name = _OWN_ACTORS.get(actor.id, "The platform" if is_own else actor.id)
        return ActorName(id=actor.id, name=name, username=username, kind=actor.kind.value)

    def place(self, view: EntryView) -> Place | None:
        """Return the project an entry belongs to, `None` for none."""
        scope = view.scope
        return None if scope is None else self.places.get(scope)

    def subject(self, view: EntryView) -> SubjectName | None:
        """Return what an entry is about, `None` where it has no name."""
        return self.subjects.get(_subject_key(view))

    def stream(self, view: EntryView) -> str:
        """Return the name of an entry's stream; the id where it is not known."""
        return self.streams.get(view.stream, str(view.stream))


def find_names(*, views: Iterable[EntryView]) -> Names:
    """Return the names of what is in some entries; at most 3 queries and 1 for each noun."""
    shown = list(views)
    accounts = _find_accounts(shown)
    subjects = _find_subjects(shown)
    streams = {stream_id_of(name): name for name in _STREAM_NAMES}
    for view in shown:
        noun, _, key = view.subject.partition(":")
        if key == str(view.stream):
            streams[view.stream] = view.subject
        elif view.subject == str(view.stream):
            streams[view.stream] = f"project:{noun}"
    for view in shown:
        if view.kind.partition(".")[0] in _ACCOUNT_NOUNS and view.subject in accounts:
            name, username = accounts[view.subject]
            subjects[_subject_key(view)] = SubjectName(words=f"{name} ({username})")
    return Names(accounts=accounts, places=_find_places(shown), subjects=subjects, streams=streams)


def _subject_key(view: EntryView) -> str:
    """Return what names are kept by: an id alone says nothing about what it is the id of."""
    subject = view.subject
    return subject if ":" in subject else f"{view.kind.partition('.')[0]}|{subject}"


def _find_accounts(views: Iterable[EntryView]) -> dict[str, tuple[str, str]]:
    wanted: set[UUID] = set()
    for view in views:
        behalf = view.on_behalf_of
        ids = [view.actor.id, behalf.id if behalf else "", view.subject]
        wanted.update(key for key in map(_read_uuid, ids) if key is not None)
    rows = User.objects.filter(pk__in=wanted).values_list("pk", "name", "username")
    return {str(key): (name or username, username) for key, name, username in rows}


def _find_places(views: Iterable[EntryView]) -> dict[UUID, Place]:
    wanted = {view.scope for view in views if view.scope is not None}
    rows = Scope.objects.filter(pk__in=wanted).values_list(
        "pk", "project__slug", "parent__project__slug"
    )
    return {key: Place(project=own or above or "") for key, own, above in rows}


def _find_subjects(views: Iterable[EntryView]) -> dict[str, SubjectName]:
    wanted: dict[str, set[UUID]] = defaultdict(set)
    projects = set()
    for view in views:
        noun, _, text = view.subject.partition(":")
        key = _read_uuid(text)
        if key is not None:
            wanted[noun].add(key)
        elif view.kind.startswith("project.") and (own := _read_uuid(view.subject)) is not None:
            projects.add(own)
    named = {
        f"{noun}:{key}": name
        for noun, keys in wanted.items()
        for key, name in wording.name_subjects(noun, keys).items()
    }
    rows = Project.objects.filter(pk__in=projects).values_list("pk", "slug") if projects else ()
    named.update({f"project|{key}": SubjectName(words=f"Project {slug}") for key, slug in rows})
    return named


def _read_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
