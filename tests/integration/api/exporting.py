"""What tests of exports share: a town with a record, and asking for, writing, fetching exports."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from django.utils.timezone import now

from approvals.models import Request
from audit.domain.exporting import ExportFormat
from audit.exports import running
from audit.models import Leaf, Payload, TreeHead
from core.identity.models import Scope
from core.identity.services.roles import assign_role
from tests.fakes import bundles

VERIFIER = Path(__file__).parents[3] / "countersign" / "verify.py"
FORMATS = [item.value for item in ExportFormat]


def grant(town, name, scope_id):
    """Make somebody an auditor somewhere; `None` is everywhere."""
    where = scope_id or Scope.objects.get(kind="global").pk
    user_id = town.users[name].pk
    return assign_role(principal=town.system, role="auditor", scope_id=where, user_id=user_id)


def ask(town, name, **body):
    return town.as_(name).post("ledger/exports/", body)


def export(town, name="aud", **body):
    """Ask for an export, write it, and return what the API then says of it, and its bytes."""
    asked = ask(town, name, **body)
    assert asked.status_code == 201, asked.content
    finish(asked.json()["id"])
    shown = town.as_(name).get(f"ledger/exports/{asked.json()['id']}/").json()
    assert shown["status"] == "ready", shown
    return shown, download(town, name, shown["id"])


def finish(export_id):
    for _ in range(50):
        if not running.run_export(export_id=UUID(export_id)):
            return
    raise AssertionError(export_id)


def download(town, name, export_id, **headers):
    answer = fetch(town, name, export_id, **headers)
    assert answer.status_code == 200, answer
    return b"".join(answer.streaming_content)


def fetch(town, name, export_id, **headers):
    return town.as_(name).send("get", f"ledger/exports/{export_id}/download/", **headers)


def scopes(town):
    since = (now() - timedelta(hours=1)).isoformat()
    until = (now() + timedelta(hours=1)).isoformat()
    return {
        "run": {"kind": "run", "run_id": str(town.closed_run)},
        "period": {"kind": "period", "since": since, "until": until},
        "project": {"kind": "project", "project": town.slug},
        "whole": {"kind": "whole"},
    }


def sealed_below(size):
    rows = Leaf.objects.filter(leaf_index__lt=size).order_by("leaf_index").select_related("entry")
    return list(rows)


def expected_leaves(town, kind, size):
    """Return the leaves an export must hold, found in another way than it does."""
    rows = sealed_below(size)
    if kind == "run":
        streams = {town.closed_run, *Request.objects.filter(run=town.closed_run).values_list("pk")}
        streams = {item[0] if isinstance(item, tuple) else item for item in streams}
        return [row for row in rows if row.entry.stream in streams]
    if kind == "project":
        scope_ids = {town.project.scope_id, *town.project.scope.children.values_list("pk")}
        scope_ids = {item[0] if isinstance(item, tuple) else item for item in scope_ids}
        return [
            row
            for row in rows
            if row.entry.scope in scope_ids or row.entry.stream == town.project.pk
        ]
    return rows


def contents_of(town, shown, kind):
    """Return the same bundle as the reference writer takes it."""
    size = shown["tree_size"]
    entries = []
    for row in expected_leaves(town, kind, size):
        openings = [
            bundles.Opening(
                name=item.name,
                salt=None if item.salt is None else bytes(item.salt),
                value="" if item.value is None else bytes(item.value).decode(),
            )
            for item in Payload.objects.filter(entry=row.entry).order_by("name")
        ]
        openings.sort(key=lambda item: item.name)
        entries.append(
            bundles.Sealed(index=row.leaf_index, body=bytes(row.entry.body), openings=openings)
        )
    return bundles.Contents(
        note=TreeHead.objects.get(pk=size).note,
        leaves=[bytes(row.entry.leaf) for row in sealed_below(size)],
        entries=entries,
        kind=kind,
        subject=shown["subject"] or None,
        since=instant(shown["since"]),
        until=instant(shown["until"]),
        unsealed=shown["unsealed_count"],
    )


def instant(text):
    if text is None:
        return None
    at = datetime.fromisoformat(text).astimezone(UTC)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
