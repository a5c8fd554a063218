"""Who may read the ledger, and what they then see."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.domain.entry import leaf_hash, read_entry, stream_id_of
from audit.domain.errors import EntryMissingError, LeafInvalidError, StreamNameError
from audit.models import Entry, Payload
from audit.selectors.entries import EntryFilters, get_entry, list_entries
from core.identity.domain.permissions import ScopeKind
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services.roles import assign_role
from core.identity.services.scopes import create_scope
from core.kernel.record import Actor, ActorKind, Origin, Via
from tests.fakes.drafts import AT, ORIGIN, PERSON, draft
from tests.integration.audit.streams import append, open_stream
from tests.world import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    return World()


@pytest.fixture
def auditor(world):
    """Return somebody who may read everything."""
    world.user("ada")
    assign_role(
        principal=world.system,
        role="auditor",
        scope_id=GLOBAL_SCOPE_ID,
        user_id=world.users["ada"].pk,
    )
    return world.principal("ada")


def listed(principal, **filters):
    return list_entries(principal=principal, filters=EntryFilters(**filters), limit=100)


def test_an_auditor_of_everything_reads_entries_without_a_scope(auditor):
    head, _ = append(open_stream(), draft(kind="thing.done"))

    (entry,) = listed(auditor, stream=str(head.stream))

    assert (entry.view.kind, entry.leaf_hex) == ("thing.done", head.head.hex())


def test_an_auditor_of_a_project_reads_its_entries_and_its_workflows_and_no_others(world):
    world.user("paul", "auditor")
    paul = world.principal("paul")
    workflow = create_scope(kind=ScopeKind.WORKFLOW, parent_id=world.project.scope_id)
    other = World(slug="other").project
    stream = open_stream()
    scopes = {
        "own.project": world.project.scope_id,
        "own.workflow": workflow.pk,
        "other.project": other.scope_id,
        "no.scope": None,
    }
    drafts = [draft(kind=kind, scope=scope) for kind, scope in scopes.items()]
    append(stream, *drafts)

    seen = listed(paul, stream=str(stream.stream))

    assert [entry.view.kind for entry in seen] == ["own.workflow", "own.project"]
    for row in Entry.objects.filter(stream=stream.stream):
        if row.kind.startswith("own."):
            assert get_entry(principal=paul, entry_id=row.pk).entry.view.kind == row.kind
        else:
            with pytest.raises(EntryMissingError):
                get_entry(principal=paul, entry_id=row.pk)


def test_whoever_lacks_the_permission_reads_nothing(world):
    world.user("pia", "project_admin", "editor", "approver")
    pia = world.principal("pia")
    append(open_stream(), draft(scope=world.project.scope_id))

    assert listed(pia) == []
    with pytest.raises(EntryMissingError):
        get_entry(principal=pia, entry_id=Entry.objects.latest("pk").pk)


def test_an_entry_that_is_not_there_looks_like_one_that_may_not_be_seen(auditor):
    with pytest.raises(EntryMissingError):
        get_entry(principal=auditor, entry_id=10**9)


def test_filters_narrow_the_list(auditor, world):
    scope = world.project.scope_id
    head, _ = append(
        open_stream(),
        draft(kind="a.one", subject="run:1", scope=scope),
        draft(kind="b.two", at=AT + timedelta(hours=1)),
        draft(kind="c.three", at=AT + timedelta(hours=2), origin=ORIGIN),
    )
    stream = str(head.stream)

    def kinds(**filters):
        return [entry.view.kind for entry in listed(auditor, stream=stream, **filters)]

    assert kinds() == ["c.three", "b.two", "a.one"]
    assert kinds(kind="b.two") == ["b.two"]
    assert kinds(subject="run:1") == ["a.one"]
    assert kinds(scope_id=scope) == ["a.one"]
    assert kinds(actor=PERSON.id) == ["c.three", "b.two", "a.one"]
    assert kinds(actor="nobody") == []
    assert kinds(since=AT + timedelta(hours=1)) == ["c.three", "b.two"]
    assert kinds(until=AT + timedelta(hours=1)) == ["a.one"]
    assert kinds(since=AT, until=AT) == []


@pytest.mark.parametrize("column", ["kind", "actor", "subject"])
def test_a_rare_entry_is_found_by_an_index_of_what_is_asked_for(auditor, column):
    rare = {
        "kind": draft(kind="rare.thing"),
        "actor": draft(origin=Origin(actor=Actor(id="rare", kind=ActorKind.SERVICE), via=Via.API)),
        "subject": draft(subject="rare:1"),
    }[column]
    head, _ = append(open_stream(), rare)
    for _ in range(10):
        head, _ = append(head, *[draft(kind="common.thing", subject="thing:1")] * 300)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE audit_entry")
    wanted = {"kind": "rare.thing", "actor": "rare", "subject": "rare:1"}[column]

    with CaptureQueriesContext(connection) as queries:
        (found,) = listed(auditor, **{column: wanted})

    assert found.view.seq == 1
    (statement,) = [item["sql"] for item in queries if 'FROM "audit_entry"' in item["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert f"audit_entry_{column}_id_idx" in plan
    assert "Seq Scan" not in plan
    assert "Sort" not in plan


def test_an_entry_is_found_by_the_beginning_of_its_hash_in_an_index(auditor):
    head, _ = append(open_stream(), draft(kind="rare.thing"))
    row = Entry.objects.get(stream=head.stream)
    for _ in range(10):
        head, _ = append(head, *[draft(kind="common.thing", subject="thing:1")] * 300)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE audit_entry")
    leaf = bytes(row.leaf).hex()

    with CaptureQueriesContext(connection) as queries:
        found = listed(auditor, leaf=leaf[:20])

    assert [entry.id for entry in found] == [row.pk]
    assert "audit_entry_leaf_start_idx" in explain(queries)


def test_an_old_period_of_a_project_is_found_without_what_is_newer(auditor, world):
    scope = world.project.scope_id
    years = [AT - timedelta(days=365), AT]
    head = open_stream()
    for at in years:
        for _ in range(5):
            drafts = [draft(at=at, scope=scope), draft(at=at)] * 150
            head, _ = append(head, *drafts)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE audit_entry")

    with CaptureQueriesContext(connection) as queries:
        found = listed(auditor, scope_id=scope, until=AT - timedelta(days=100))

    assert {entry.view.at for entry in found} == {years[0]}
    plan = explain(queries)
    # Whichever index ends in the id: what is newer than the period is not read.
    assert re.search(r"Index Cond: \(.*id < \d+\)", plan)
    assert "Seq Scan" not in plan
    assert "Sort" not in plan


def explain(queries):
    """Return the plan of the one statement that read entries."""
    (statement,) = [item["sql"] for item in queries if '"audit_entry"."body"' in item["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}")
        return "\n".join(row[0] for row in cursor.fetchall())


def test_who_and_where_are_found_by_name(auditor, world):
    world.user("lin")
    actor = Actor(id=str(world.users["lin"].pk), kind=ActorKind.PERSON)
    origin = Origin(actor=actor, via=Via.API)
    head, _ = append(
        open_stream(), draft(origin=origin, scope=world.project.scope_id), draft(kind="b.two")
    )
    stream = str(head.stream)

    for name in ("lin", "Lin", "LI", str(world.users["lin"].pk)):
        assert len(listed(auditor, stream=stream, actor=name)) == 1, name
    assert listed(auditor, stream=stream, actor="nobody-at-all") == []
    assert len(listed(auditor, stream=stream, project=world.project.slug)) == 1
    assert listed(auditor, stream=stream, project="other") == []
    assert len(listed(auditor, stream=stream, kinds=("thing.done", "b.two"))) >= 1


@pytest.mark.parametrize("leaf", ["", "abcde", "xyzxyz", "a" * 65, "-1", "\uff10" * 6])
def test_what_is_not_the_beginning_of_a_hash_is_refused(auditor, leaf):
    with pytest.raises(LeafInvalidError):
        listed(auditor, leaf=leaf)


def test_a_stream_is_found_by_its_name(auditor):
    (first, *_) = listed(auditor, stream="identity")

    assert first.view.stream == stream_id_of("identity")
    with pytest.raises(StreamNameError):
        listed(auditor, stream="No Name")


def test_pages_follow_one_another_without_gaps(auditor):
    head, _ = append(open_stream(), *[draft(data={"n": n}) for n in range(7)])
    filters = EntryFilters(stream=str(head.stream))
    seen, after = [], None

    while page := list_entries(principal=auditor, filters=filters, after=after, limit=3):
        seen += [entry.view.data["n"] for entry in page]
        after = page[-1].id

    assert seen == [6, 5, 4, 3, 2, 1, 0]


def test_an_entry_comes_with_its_bytes_and_what_opens_its_commitments(auditor):
    origin = Origin(actor=PERSON, via=ORIGIN.via, source_address="192.0.2.3")
    append(open_stream(), draft(payloads={"comment": "ok", "form": {"a": 1.5}}, origin=origin))

    found = get_entry(principal=auditor, entry_id=Entry.objects.latest("pk").pk)

    assert found.payloads == {"comment": "ok", "form": {"a": 1.5}, "source": "192.0.2.3"}
    assert found.salts.keys() == found.payloads.keys()
    assert leaf_hash(found.body.encode()).hex() == found.entry.leaf_hex
    assert read_entry(found.body.encode()).commitments.keys() == found.payloads.keys()
    assert found.erased == ()


def test_an_erased_payload_is_named_and_not_shown(auditor):
    append(open_stream(), draft(payloads={"comment": "ok", "form": 1}))
    row = Entry.objects.latest("pk")
    Payload.objects.filter(entry=row, name="comment").update(salt=None, value=None)

    found = get_entry(principal=auditor, entry_id=row.pk)

    assert (found.payloads, found.erased) == ({"form": 1}, ("comment",))
    assert found.salts.keys() == {"form"}


def test_a_list_takes_few_queries_however_long(auditor):
    append(open_stream(), *[draft(payloads={"a": n}) for n in range(60)])

    with CaptureQueriesContext(connection) as queries:
        assert len(listed(auditor)) >= 60

    assert len(queries) <= 4
