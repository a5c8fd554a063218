"""A saved version never changes: the database itself refuses, even where triggers are silenced."""

import pytest
from django.db import IntegrityError, connection, transaction

from engine.domain.plan import Plan, Step, Uses
from engine.models import Version
from tests.world import World

pytestmark = pytest.mark.django_db

ROLES = pytest.mark.parametrize("role", ["origin", "local", "replica"])


@pytest.fixture
def version() -> Version:
    world = World()
    world.user("mara", "editor")
    step = Step(id="greet", verb=Uses(action="python/call@1", arguments={"function": "demo.greet"}))
    plan = Plan(
        name="hello",
        title="Hello",
        inputs_schema={"type": "object"},
        variables={},
        steps={"greet": step},
        outputs={},
    )
    return world.publish(plan, author="mara")


def change(assignment, *, role="origin"):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL session_replication_role = {role}")
        cursor.execute(f"UPDATE engine_version SET {assignment}")
        return cursor.rowcount


@ROLES
@pytest.mark.parametrize(
    "assignment",
    ["plan = '{}'", "digest = '\\x00'", "source = 'x'", "rev = 7", "message = 'x'"],
)
def test_the_content_of_a_version_never_changes(version, assignment, role):
    with pytest.raises(IntegrityError, match="the content of a version never changes"):
        change(assignment, role=role)


@ROLES
def test_a_published_version_is_never_a_draft_again(version, role):
    with pytest.raises(IntegrityError, match="never back"):
        change("status = 'draft'", role=role)


def test_a_published_version_can_be_retired_and_then_stays_so(version):
    assert change("status = 'retired'") == 1

    with pytest.raises(IntegrityError, match="never back"):
        change("status = 'published'")


@ROLES
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_a_version_is_never_deleted(version, statement, role):
    def execute():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(f"SET LOCAL session_replication_role = {role}")
            cursor.execute(statement.format("engine_version"))

    with pytest.raises(IntegrityError, match="versions are never deleted"):
        execute()


def test_the_same_change_passes_where_the_guard_is_off(version):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE engine_version DISABLE TRIGGER engine_version_guard_row")

    assert change("plan = '{}'") == 1
