"""Entries in the words of other systems. Read `to_cloud_event`, then `to_ocsf`.

A mapping is for finding and correlating elsewhere; the evidence is the entry's own bytes. So each
mapped event names its entry (stream, number, leaf) and is otherwise free to say less than it does.
Sources: CloudEvents 1.0.2, with its JSON event format and the extensions `sequence` and
`partitionkey`; Open Cybersecurity Schema Framework (OCSF) 1.3.0.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from audit.domain.document import KEYS
from audit.domain.entry import EntryView
from core.kernel.record import Actor, ActorKind
from core.kernel.types import Json

CLOUD_EVENT_VERSION: Final = "1.0"
CLOUD_EVENT_PREFIX: Final = "countersign."
OCSF_VERSION: Final = "1.3.0"
PRODUCT: Final = "Countersign"

_SEQ_DIGIT_COUNT: Final = 16  # as many as an entry's number may have, so that texts sort as numbers


def to_cloud_event(
    entry: EntryView, *, leaf_index: int | None, source: str, leaf_hex: str = ""
) -> dict[str, Json]:
    """Return an entry as a CloudEvent in the JSON event format; its `data` is all the entry says.

    Args:
        entry: what its bytes say.
        leaf_index: its place in the tree, `None` if it is not sealed yet.
        source: a URI that names this ledger, such as the log's origin.
        leaf_hex: its leaf, if the caller has it.
    """
    event: dict[str, Json] = {
        "specversion": CLOUD_EVENT_VERSION,
        "id": name_entry(entry),
        "source": source,
        "type": CLOUD_EVENT_PREFIX + entry.kind,
        "time": _read(entry, "at"),
        "datacontenttype": "application/json",
        "partitionkey": str(entry.stream),
        "sequence": f"{entry.seq:0{_SEQ_DIGIT_COUNT}d}",
        "data": _read_whole(entry),
    }
    if entry.subject:
        event["subject"] = entry.subject
    # A text, because a CloudEvents integer ends at 2**31.
    if leaf_index is not None:
        event["leafindex"] = str(leaf_index)
    if leaf_hex:
        event["leafhash"] = leaf_hex
    return event


def to_ocsf(
    entry: EntryView, *, leaf_index: int | None, source: str, leaf_hex: str = ""
) -> dict[str, Json]:
    """Return an entry as an OCSF event.

    What was done to accounts, sessions, roles, teams and settings has the class for that; all
    else is API Activity. The arguments are those of `to_cloud_event`.
    """
    aimed = _aim(entry)
    severity_id, severity = _SEVERITIES.get(entry.kind, _INFORMATIONAL)
    is_refused = entry.kind.endswith((".refused", ".failed"))
    event: dict[str, Json] = {
        "category_uid": aimed.target.uid // 1000,
        "category_name": _CATEGORIES[aimed.target.uid // 1000],
        "class_uid": aimed.target.uid,
        "class_name": aimed.target.name,
        "activity_id": aimed.activity_id,
        "activity_name": aimed.target.activities.get(aimed.activity_id, entry.kind),
        "type_uid": aimed.target.uid * 100 + aimed.activity_id,
        "type_name": f"{aimed.target.name}: "
        + aimed.target.activities.get(aimed.activity_id, "Other"),
        "time": _count_milliseconds(entry),
        "severity_id": severity_id,
        "severity": severity,
        "status_id": 2 if is_refused else 1,
        "status": "Failure" if is_refused else "Success",
        "message": _say(entry),
        "metadata": _describe_record(entry, leaf_index=leaf_index, source=source),
        "actor": _describe_actor(entry),
        "api": _describe_call(entry),
        "src_endpoint": {"svc_name": entry.via.value},
        "unmapped": _list_unmapped(entry, leaf_hex=leaf_hex),
        **aimed.attributes,
    }
    if entry.reason:
        event["status_code"] = entry.reason
    if entry.subject:
        event["resources"] = [{"uid": entry.subject, "type": entry.kind.partition(".")[0]}]
    return event


def name_entry(entry: EntryView) -> str:
    """Return what names an entry for good: its stream's id and its number there."""
    return f"{entry.stream}/{entry.seq}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Class:
    """A class of OCSF, and what its activities are called."""

    uid: int
    name: str
    activities: Mapping[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Aim:
    """Which class and activity an entry is, and what only that class has."""

    target: _Class
    activity_id: int
    attributes: Mapping[str, Json] = field(default_factory=dict)


_OTHER = 99
_CREATE, _READ, _UPDATE, _DELETE = 1, 2, 3, 4
_CRUD = {_CREATE: "Create", _READ: "Read", _UPDATE: "Update", _DELETE: "Delete"}

_ACCOUNT_CHANGE = _Class(
    uid=3001,
    name="Account Change",
    activities={1: "Create", 2: "Enable", 5: "Disable", _OTHER: "Other"},
)
_AUTHENTICATION = _Class(
    uid=3002, name="Authentication", activities={1: "Logon", 2: "Logoff", _OTHER: "Other"}
)
_ENTITY_MANAGEMENT = _Class(uid=3004, name="Entity Management", activities=_CRUD)
_USER_ACCESS = _Class(
    uid=3005,
    name="User Access Management",
    activities={1: "Assign Privileges", 2: "Revoke Privileges"},
)
_GROUP_MANAGEMENT = _Class(
    uid=3006,
    name="Group Management",
    activities={
        1: "Assign Privileges",
        2: "Revoke Privileges",
        3: "Add User",
        4: "Remove User",
        6: "Create",
    },
)
_API_ACTIVITY = _Class(uid=6003, name="API Activity", activities=_CRUD)
_CATEGORIES: Final = {3: "Identity & Access Management", 6: "Application Activity"}

_INFORMATIONAL: Final = (1, "Informational")
_LOW: Final = (2, "Low")
_MEDIUM: Final = (3, "Medium")
_HIGH: Final = (4, "High")
# What somebody on watch should look at first; everything else is informational.
_SEVERITIES: Final[Mapping[str, tuple[int, str]]] = MappingProxyType(
    {
        "access.refused": _MEDIUM,
        "decision.refused": _LOW,
        "form.edited": _LOW,
        "hold.placed": _LOW,
        "hold.released": _MEDIUM,
        "key.rotated": _MEDIUM,
        "log.disputed": _HIGH,
        "payload.redacted": _MEDIUM,
        "redaction.approved": _MEDIUM,
        "redaction.requested": _MEDIUM,
        "retention.changed": _MEDIUM,
        "role.assigned": _LOW,
        "role.revoked": _LOW,
        "run.halted": _MEDIUM,
        "seal.refused": _HIGH,
        "secret.unreadable": _MEDIUM,
        "setting.changed": _LOW,
        "sink.rewound": _LOW,
        "sink.stopped": _MEDIUM,
        "trigger.refused": _LOW,
        "user.created": _LOW,
    }
)

# What kinds end in, where that is not a change of something that was there.
_ACTIVITIES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "asked": _CREATE,
        "cast": _CREATE,
        "created": _CREATE,
        "emitted": _CREATE,
        "opened": _CREATE,
        "placed": _CREATE,
        "requested": _CREATE,
        "saved": _CREATE,
        "secret_made": _CREATE,
        "started": _CREATE,
        "downloaded": _READ,
        "deleted": _DELETE,
        "redacted": _DELETE,
        "released": _DELETE,
        "revoked": _DELETE,
    }
)

# Things whose entries are about managing them, and not about their work.
_MANAGED: Final = frozenset(
    {"hold", "key", "project", "retention", "secret", "setting", "token", "version", "workflow"}
)


def _aim(entry: EntryView) -> _Aim:
    find = _FINDERS.get(entry.kind)
    # What an entry's data lacks falls back to the class that needs none.
    found = None if find is None else find(entry)
    if found is not None:
        return found
    noun, _, verb = entry.kind.partition(".")
    activity_id = _ACTIVITIES.get(verb, _UPDATE)
    if noun in _MANAGED and entry.subject:
        entity: dict[str, Json] = {"uid": entry.subject, "type": noun}
        return _Aim(
            target=_ENTITY_MANAGEMENT, activity_id=activity_id, attributes={"entity": entity}
        )
    return _Aim(target=_API_ACTIVITY, activity_id=activity_id)


def _aim_at_account(activity_id: int) -> Callable[[EntryView], _Aim | None]:
    return lambda entry: _Aim(
        target=_ACCOUNT_CHANGE,
        activity_id=activity_id,
        attributes={"user": {"uid": entry.subject}},
    )


def _aim_at_session(activity_id: int) -> Callable[[EntryView], _Aim | None]:
    return lambda entry: _Aim(
        target=_AUTHENTICATION,
        activity_id=activity_id,
        attributes={"user": {"uid": entry.subject}, "service": {"name": PRODUCT}},
    )


def _aim_at_member(activity_id: int) -> Callable[[EntryView], _Aim | None]:
    def find(entry: EntryView) -> _Aim | None:
        team = entry.data.get("team")
        if team is None:
            return None
        return _Aim(
            target=_GROUP_MANAGEMENT,
            activity_id=activity_id,
            attributes={"group": {"uid": str(team)}, "user": {"uid": entry.subject}},
        )

    return find


def _aim_at_team(entry: EntryView) -> _Aim | None:
    return _Aim(
        target=_GROUP_MANAGEMENT,
        activity_id=6,
        attributes={"group": {"uid": entry.subject}},
    )


def _aim_at_privilege(activity_id: int, name: str) -> Callable[[EntryView], _Aim | None]:
    """Return what reads an entry that gives a role or permission to an account or a team."""

    def find(entry: EntryView) -> _Aim | None:
        data = entry.data
        privilege, user, team = data.get(name), data.get("user"), data.get("team")
        if not isinstance(privilege, str):
            return None
        attributes: dict[str, Json] = {"privileges": [privilege]}
        if user is not None:
            attributes["user"] = {"uid": str(user)}
            return _Aim(target=_USER_ACCESS, activity_id=activity_id, attributes=attributes)
        if team is not None:
            attributes["group"] = {"uid": str(team)}
            return _Aim(target=_GROUP_MANAGEMENT, activity_id=activity_id, attributes=attributes)
        return None

    return find


_FINDERS: Final[Mapping[str, Callable[[EntryView], _Aim | None]]] = MappingProxyType(
    {
        "user.created": _aim_at_account(1),
        "user.activated": _aim_at_account(2),
        "user.deactivated": _aim_at_account(5),
        "user.changed": _aim_at_account(_OTHER),
        "session.begun": _aim_at_session(1),
        "session.ended": _aim_at_session(2),
        "sessions.ended": _aim_at_session(2),
        "team.created": _aim_at_team,
        "member.added": _aim_at_member(3),
        "member.removed": _aim_at_member(4),
        "role.assigned": _aim_at_privilege(1, "role"),
        "role.revoked": _aim_at_privilege(2, "role"),
        "project.shared": _aim_at_privilege(1, "permission"),
        "project.unshared": _aim_at_privilege(2, "permission"),
    }
)

# OCSF 1.3.0, object user, `type_id`.
_USER_TYPES: Final[Mapping[ActorKind, tuple[int, str]]] = MappingProxyType(
    {
        ActorKind.PERSON: (1, "User"),
        ActorKind.SYSTEM: (3, "System"),
        ActorKind.SERVICE: (_OTHER, "Service"),
        ActorKind.AGENT: (_OTHER, "Agent"),
    }
)


def _describe_actor(entry: EntryView) -> Json:
    actor: dict[str, Json] = {"user": _describe_user(entry.actor)}
    if entry.policy:
        actor["authorizations"] = [
            {
                "decision": "denied" if entry.kind.endswith(".refused") else "allowed",
                "policy": {"name": entry.policy},
            }
        ]
    return actor


def _describe_user(actor: Actor) -> Json:
    type_id, name = _USER_TYPES[actor.kind]
    return {"uid": actor.id, "type_id": type_id, "type": name}


def _describe_call(entry: EntryView) -> Json:
    call: dict[str, Json] = {"operation": entry.kind, "service": {"name": PRODUCT}}
    if entry.request_id:
        call["request"] = {"uid": entry.request_id}
    return call


def _describe_record(entry: EntryView, *, leaf_index: int | None, source: str) -> Json:
    record: dict[str, Json] = {
        "version": OCSF_VERSION,
        "uid": name_entry(entry),
        "product": {"name": PRODUCT, "vendor_name": PRODUCT},
        "log_name": "ledger",
        "log_provider": source,
        "original_time": _read(entry, "at"),
    }
    if leaf_index is not None:
        record["sequence"] = leaf_index
    if entry.request_id:
        record["correlation_uid"] = entry.request_id
    return record


def _list_unmapped(entry: EntryView, *, leaf_hex: str) -> Json:
    """Return what OCSF has no place for: every key of the entry that says something."""
    rest = {key: value for key in KEYS if (value := _read(entry, key)) not in (None, {})}
    for key in ("actor", "at", "kind", "policy", "request_id", "via"):
        rest.pop(key, None)
    if leaf_hex:
        rest["leaf"] = leaf_hex
    return rest


def _say(entry: EntryView) -> str:
    text = entry.kind
    if entry.subject:
        text += f" {entry.subject}"
    if entry.state_from or entry.state_to:
        text += f": {entry.state_from or '-'} to {entry.state_to or '-'}"
    return text


def _count_milliseconds(entry: EntryView) -> int:
    at = entry.at
    return int(at.replace(microsecond=0).timestamp()) * 1000 + at.microsecond // 1000


def _read(entry: EntryView, key: str) -> Any:
    return json.loads(entry.literals[key])


def _read_whole(entry: EntryView) -> Json:
    members = ",".join(f'"{key}":{entry.literals[key]}' for key in KEYS)
    whole: Json = json.loads(f"{{{members}}}")
    return whole
