"""What an order covers, and what keeps it from being erased. Read `find_scope` first."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from uuid import UUID

from audit import registry
from audit.domain.errors import (
    RedactionHeldError,
    RedactionMissingError,
    RedactionOpenError,
    RedactionTooLargeError,
)
from audit.domain.redaction import Member, Target, TargetKind, list_keepings
from audit.redactions import people, rows
from audit.redactions.models import Redaction
from core.identity.models import Person
from core.kernel import limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an order covers: streams, and how many of their payloads are there to be erased."""

    label: str
    members: tuple[Member, ...]
    payload_count: int


def find_scope(target: Target) -> Scope:
    """Return what an order covers as it is now.

    Raises: RedactionMissingError, RedactionTooLargeError.
    """
    if target.kind is TargetKind.PERSON:
        return _find_person(target.id)
    if target.kind is TargetKind.ENTRY:
        return _find_entry(target)
    holder = registry.holders().get(target.kind.value)
    members = None if holder is None else holder.find_members(stream=target.id)
    if not members:
        raise RedactionMissingError(target=str(target.id))
    found = [*members]
    if target.kind is TargetKind.RUN:
        run_ids = [member.stream for member in members]
        for other in registry.holders().values():
            found += other.list_related(run_ids=run_ids)
    if len(found) > limits.REDACTION_STREAM_COUNT_MAX:
        raise RedactionTooLargeError(
            f"It covers {len(found)} runs and requests; at most "
            f"{limits.REDACTION_STREAM_COUNT_MAX} at once.",
            count=len(found),
            count_max=limits.REDACTION_STREAM_COUNT_MAX,
        )
    label = next(member.label for member in members if member.stream == target.id)
    return _count(label, found)


def target_of(row: Redaction) -> Target:
    """Return what a stored order is about."""
    return Target(kind=TargetKind(row.target_kind), id=row.target_id, seq=row.seq, name=row.name)


def check_closed(members: tuple[Member, ...]) -> None:
    """Check that all of them are closed. Raises: RedactionOpenError."""
    words = next((member.open_words for member in members if member.open_words), "")
    if words:
        raise RedactionOpenError(f"Only what is closed can be redacted, and {words}.", open=words)


def check_held(members: tuple[Member, ...]) -> None:
    """Check that no hold keeps any of them; share the lock of holds before it.

    A run took values from its requests, such as a form, so what keeps one of them keeps it.

    Raises: RedactionHeldError.
    """
    run_ids = [member.stream for member in members if member.noun == TargetKind.RUN]
    related = [
        item
        for holder in registry.holders().values()
        if run_ids
        for item in holder.list_related(run_ids=run_ids)
    ]
    found = rows.find_hold(keepings=list_keepings([*members, *related]))
    if found is not None:
        hold_id, label = found
        raise RedactionHeldError(
            f"A legal hold keeps this: that on {label}.", hold=str(hold_id), label=label
        )


def _find_person(person_id: UUID) -> Scope:
    person = Person.objects.filter(pk=person_id).first()
    if person is None:
        raise RedactionMissingError(target=str(person_id))
    account = people.find_open_account(person_id=person_id)
    member = Member(
        noun="person",
        stream=person_id,
        label=f"person {person_id}",
        open_words=f"the account {account} is still open" if account else "",
        person_ids=frozenset({person_id}),
    )
    return Scope(
        label=member.label,
        members=(member,),
        payload_count=rows.count_of_person(person_id=person_id),
    )


def _find_entry(target: Target) -> Scope:
    kind = rows.find_entry_kind(stream=target.id, seq=target.seq)
    if kind is None:
        raise RedactionMissingError(target=str(target.id), seq=target.seq)
    member = find_member(target.id)
    names = [target.name] if target.name else []
    count = rows.count_places(streams=[target.id], seq=target.seq, names=names)
    if count == 0:
        raise RedactionMissingError(
            "The entry has no such payload, or it was erased before.",
            target=str(target.id),
            seq=target.seq,
        )
    what = f"{target.name} of entry" if target.name else "entry"
    return Scope(
        label=f"{what} {target.seq} ({kind}) of {member.label}",
        members=list_belonging(member, seqs=[target.seq]),
        payload_count=count,
    )


def list_belonging(member: Member, *, seqs: Collection[int]) -> tuple[Member, ...]:
    """Return a stream as its entries belong to projects and persons, for holds to be asked.

    A run or a request says itself whose it is; a stream of accounts, of a workflow or of the ledger
    holds entries about several, and who acted is told by the entry alone. One query.
    """
    workflow_id = member.stream if member.noun == "stream" else member.workflow_id
    return tuple(
        replace(
            member,
            project_id=member.project_id or project_id,
            workflow_id=workflow_id,
            person_ids=member.person_ids | person_ids,
        )
        for project_id, person_ids in rows.list_belonging(stream=member.stream, seqs=seqs)
    ) or (member,)


def find_member(stream: UUID) -> Member:
    """Return a stream as a member of an order, whatever it is about; locks nothing."""
    for holder in registry.holders().values():
        found = [item for item in holder.find_family(stream=stream) if item.stream == stream]
        if found:
            return found[0]
    name = rows.find_stream_name(stream=stream)
    label = f"the stream {name}" if name else f"the stream {stream}"
    return Member(noun="stream", stream=stream, label=label)


def _count(label: str, members: list[Member]) -> Scope:
    streams = [member.stream for member in members]
    return Scope(
        label=label, members=tuple(members), payload_count=rows.count_places(streams=streams)
    )
