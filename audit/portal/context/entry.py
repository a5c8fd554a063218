"""The page of one entry: what it says, what it holds, and its place. Read `make_entry`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.urls import reverse

from audit import wording
from audit.domain.entry import SOURCE_PAYLOAD, EntryView
from audit.portal.proof_drawing import Drawing, draw_proof
from audit.selectors.entry_pages import EntryPage, Neighbor
from audit.selectors.naming import ActorName
from core.toolkit.portal.tree import Shown, make_shown
from core.toolkit.portal.words import say_exactly

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_VIA_WORDS: Final = {
    "portal": "the portal",
    "api": "the API",
    "email": "email",
    "slack": "Slack",
    "console": "the console",
    "command": "a command",
    "engine": "the engine",
}
# What the browser checks, in its order; the keys are those of static/js/verify.js.
_CHECKS: Final = (
    ("bytes", "The bytes give the leaf"),
    ("path", "The leaf leads to the root"),
    ("signature", "A key you trust signed the root"),
    ("values", "The values are those it commits to"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A piece of the entry's text; `is_key` is drawn stronger. Together they are the text."""

    text: str
    is_key: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A line of what the entry says. `href` may be ""; `is_code` is written as it is.

    `field` is the key of the entry whose value this is, letter for letter; "" for other words.
    """

    label: str
    text: str
    href: str = ""
    is_code: bool = False
    field: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadView:
    """A value the entry commits to. `shown` is `None` for an erased one.

    `salt` and `commitment` are in hex, `value` is the text that was committed to.
    """

    name: str
    title: str
    commitment: str
    salt: str
    value: str
    shown: Shown | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLink:
    """The entry before or after in the stream."""

    href: str
    words: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofView:
    """The proof that the entry is in the log: drawn, and as the browser checks it.

    `data` has the numbers, hashes (hex), the note, the openings, and the keys the server names.
    """

    index: int
    size: int
    root: str
    origin: str
    note: str
    drawing: Drawing
    checks: tuple[tuple[str, str], ...]
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryContext:
    """Everything the page shows."""

    id: int
    actor: ActorName
    says: str
    label: str
    icon: str
    at: datetime
    exact: str
    about: str
    about_href: str
    then_href: str
    facts: tuple[Fact, ...]
    data: Shown
    payloads: tuple[PayloadView, ...]
    tokens: tuple[Token, ...]
    byte_count: int
    leaf: str
    prev: str
    is_first: bool
    stream: str
    stream_id: str
    stream_href: str
    seq: int
    before: StreamLink | None
    after: StreamLink | None
    leaf_index: int | None
    proof: ProofView | None
    broken: str


def make_entry(page: EntryPage) -> EntryContext:
    """Return the page of an entry."""
    entry = page.detail.entry
    view, names = entry.view, page.names
    subject = names.subject(view)
    body = page.detail.body
    stream = names.stream(view)
    return EntryContext(
        id=entry.id,
        actor=names.actor(view.actor),
        says=wording.say(view.kind, view.data),
        label=wording.say_label(view.kind),
        icon=wording.find_icon(view.kind),
        at=view.at,
        exact=say_exactly(view.at),
        about=subject.words if subject is not None else "",
        about_href=subject.href if subject is not None else "",
        then_href=_then(view, subject),
        facts=tuple(_facts(page)),
        data=make_shown(dict(view.data)),
        payloads=tuple(_payloads(page)),
        tokens=tuple(_tokens(body)),
        byte_count=len(body.encode()),
        leaf=entry.leaf_hex,
        prev=view.prev.hex(),
        is_first=view.seq == 1,
        stream=stream,
        stream_id=str(view.stream),
        stream_href=f"{reverse('audit_portal:explorer')}?stream={view.stream}",
        seq=view.seq,
        before=_link(page.before),
        after=_link(page.after),
        leaf_index=page.leaf_index,
        proof=_proof(page),
        broken=page.broken,
    )


def _proof(page: EntryPage) -> ProofView | None:
    proof = page.proof
    if proof is None:
        return None
    drawing = draw_proof(leaf=proof.leaf, index=proof.index, size=proof.size, path=proof.path)
    openings = [
        {"name": payload.name, "salt": payload.salt, "value": payload.value}
        for payload in _payloads(page)
        if payload.shown is not None
    ]
    return ProofView(
        index=proof.index,
        size=proof.size,
        root=proof.root.hex(),
        origin=proof.note.partition("\n")[0],
        note=proof.note,
        drawing=drawing,
        checks=_CHECKS,
        data={
            "index": proof.index,
            "size": proof.size,
            "path": [item.hex() for item in proof.path],
            "note": proof.note,
            "openings": openings,
            "keys": list(page.keys),
        },
    )


def _facts(page: EntryPage) -> Iterator[Fact]:
    """Yield what the entry says, in the order of the questions of whoever reviews it."""
    view, names = page.detail.entry.view, page.names
    actor = names.actor(view.actor)
    explorer = reverse("audit_portal:explorer")
    yield Fact(
        label="Kind",
        text=view.kind,
        href=f"{explorer}?kind={view.kind}",
        is_code=True,
        field="kind",
    )
    who = f"{actor.name} ({actor.username})" if actor.username else actor.name
    yield Fact(label="Who", text=who, href=f"{explorer}?actor={actor.username or actor.id}")
    if view.on_behalf_of is not None:
        behalf = names.actor(view.on_behalf_of)
        yield Fact(label="On behalf of", text=behalf.name)
    yield Fact(label="Came by", text=_VIA_WORDS.get(view.via, view.via))
    place = names.place(view)
    if place is not None and place.project:
        yield Fact(label="Project", text=place.project, href=f"/projects/{place.project}/")
    moved = " → ".join(part for part in (view.state_from, view.state_to) if part)
    optional = (
        ("Proved by", view.auth, False, "auth"),
        ("State", moved, False, ""),
        ("Allowed by", view.policy, False, "policy"),
        ("Reason", view.reason, True, "reason"),
        ("About", view.subject, True, "subject"),
        ("Version", view.version, True, "version"),
        ("Was shown", view.shown, True, "shown"),
        ("Request", view.request_id, True, "request_id"),
    )
    for label, text, is_code, field in optional:
        if text:
            yield Fact(label=label, text=text, is_code=is_code, field=field)


def _payloads(page: EntryPage) -> Iterator[PayloadView]:
    detail = page.detail
    for name, commitment in sorted(detail.entry.view.commitments.items()):
        is_there = name in detail.payloads
        yield PayloadView(
            name=name,
            title="Address it came from" if name == SOURCE_PAYLOAD else name,
            commitment=commitment.hex(),
            salt=detail.salts.get(name, ""),
            value=page.values.get(name, ""),
            shown=make_shown(detail.payloads[name]) if is_there else None,
        )


def _tokens(body: str) -> Iterator[Token]:
    """Cut a canonical text into keys and what is between them; no character changes."""
    end = 0
    for match in _STRING.finditer(body):
        if body[match.end() : match.end() + 1] != ":":
            continue
        if match.start() > end:
            yield Token(text=body[end : match.start()], is_key=False)
        yield Token(text=match[0], is_key=True)
        end = match.end()
    if end < len(body):
        yield Token(text=body[end:], is_key=False)


def _link(neighbor: Neighbor | None) -> StreamLink | None:
    if neighbor is None:
        return None
    return StreamLink(
        href=reverse("audit_portal:entry", args=(neighbor.id,)),
        words=wording.say_label(neighbor.kind),
        seq=neighbor.seq,
    )


def _then(view: EntryView, subject: wording.SubjectName | None) -> str:
    """Return where what the entry is about is shown as it was after it; "" if that is nowhere."""
    is_own = view.subject.endswith(f":{view.stream}")
    return f"{subject.href}?at={view.seq}" if subject and subject.looks_back and is_own else ""
