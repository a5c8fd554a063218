"""Every row django-auditlog writes is in the ledger too."""

import pytest
from auditlog.models import LogEntry
from auditlog.registry import auditlog
from django.apps import apps
from django.contrib.auth import user_logged_in
from django.contrib.auth.models import Group
from django.contrib.auth.models import Permission as PermissionRow
from django.db import connection, transaction
from guardian.shortcuts import assign_perm

from core.identity.attribution import attributed
from core.identity.models import (
    ApiToken,
    Person,
    Project,
    ProjectUserShare,
    Role,
    RoleAssignment,
    User,
)
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.selectors.principals import make_origin
from core.identity.services import people
from core.identity.settings_log import LEFT_OUT, MASK
from core.kernel.record import Via
from tests.fakes import ledger as fake

pytestmark = pytest.mark.django_db


def copies(recall, stream="identity"):
    return [entry for entry in recall(stream) if entry.kind == "setting.changed"]


def test_a_saved_row_is_copied_with_what_changed(org, recall):
    user = org.user("ada")
    before = len(copies(recall))

    user.name = "Countess"
    user.save()

    (entry,) = copies(recall)[before:]
    assert entry.subject == str(user.pk)
    assert entry.data == {"model": "identity.user", "action": "update", "fields": ["name"]}
    assert entry.payloads == {"changes": {"name": ["Ada", "Countess"]}}


def test_every_row_of_the_log_has_its_copy(org, recall):
    ada = org.user("ada", password="between the looms")
    group = org.group("board", ada)
    org.assign("viewer", org.pay.scope_id, group=group)
    org.token(ada)
    assign_perm("view_project", ada, org.pay)
    ProjectUserShare.objects.get().delete()
    Role.objects.create(slug="mine", title="Mine").permissions.create(permission="view_project")
    group.permissions.add(PermissionRow.objects.first())
    ada.groups.clear()

    streams = ("identity", f"project:{org.pay.pk}", f"project:{org.ship.pk}")
    entries = [entry for stream in streams for entry in copies(recall, stream)]

    assert len(entries) == LogEntry.objects.count()
    assert {entry.data["model"] for entry in entries} == {
        "auth.group",
        "identity.apitoken",
        "identity.person",
        "identity.project",
        "identity.projectusershare",
        "identity.role",
        "identity.roleassignment",
        "identity.rolepermission",
        "identity.scope",
        "identity.user",
    }
    assert {entry.data["action"] for entry in entries} == {"create", "update", "delete"}


def test_joining_and_leaving_a_team_is_copied_from_either_side(org, recall):
    ada, board = org.user("ada"), Group.objects.create(name="board")
    before = len(copies(recall))

    ada.groups.add(board)
    board.user_set.remove(ada)

    joined, left = copies(recall)[before:]
    assert joined.data == {"model": "identity.user", "action": "update", "fields": ["groups"]}
    assert joined.payloads["changes"]["groups"]["operation"] == "add"
    assert left.data["model"] == "auth.group"
    assert left.payloads["changes"]["groups"] == {
        "type": "m2m",
        "operation": "delete",
        "objects": ["ada"],
    }


def test_projects_are_copied_into_their_own_streams(org, recall):
    org.pay.title = "Payments"
    org.pay.save()

    assert copies(recall, f"project:{org.pay.pk}")[-1].data["fields"] == ["title"]
    assert not [entry for entry in copies(recall) if entry.data["model"] == "identity.project"]


def test_secrets_are_masked_whole_and_digests_never_appear(org, recall):
    user = org.user("ada", password="between the looms")
    token = org.token(user)

    text = str([entry.payloads for entry in recall("identity")]) + str(
        list(LogEntry.objects.values())
    )

    row = ApiToken.objects.get(pk=token.row.pk)
    for secret in (user.password, user.password[-8:], token.secret, row.digest, row.token_key):
        assert secret not in text
    password = next(
        entry.payloads["changes"]["password"]
        for entry in copies(recall)
        if entry.subject == str(user.pk)
    )
    assert password == [MASK, MASK]


def test_a_copy_names_whoever_did_it_and_so_does_the_row(org, recall):
    ada, bob = org.user("ada"), org.user("bob")
    origin = make_origin(user=ada, via=Via.CONSOLE, auth="session", request_id="r-12345678")

    with attributed(lambda: origin):
        bob.name = "Robert"
        bob.save()
    bob.name = "Bob"
    bob.save()

    by_ada, by_nobody = copies(recall)[-2:]
    assert (by_ada.actor, by_ada.via) == (str(ada.pk), "console")
    assert (by_nobody.actor, by_nobody.via) == ("system", "command")
    actors = LogEntry.objects.filter(object_pk=str(bob.pk)).order_by("pk").values_list("actor")
    assert list(actors)[-2:] == [(ada.pk,), (None,)]


def test_services_attribute_their_rows_to_their_principal(org, recall):
    admin = org.user("admin")
    org.assign("access_admin", GLOBAL_SCOPE_ID, user=admin)

    user = people.create_user(principal=org.principal(admin), username="ada", name="Ada")

    assert {entry.actor for entry in copies(recall) if entry.subject == str(user.pk)} == {
        str(admin.pk)
    }


def test_an_actor_the_log_cannot_point_to_is_left_out_of_its_row(org):
    gone = User(username="gone", kind="person")
    origin = make_origin(user=gone, via=Via.API, auth="token")

    with attributed(lambda: origin):
        person = Person.objects.create(name="X")

    assert LogEntry.objects.get(object_pk=str(person.pk)).actor_id is None


def test_the_copy_is_rolled_back_with_the_change(org, recall):
    before = recall("identity")

    with transaction.atomic():
        org.user("ada")
        transaction.set_rollback(True)

    assert recall("identity") == before


def test_a_row_of_the_log_that_is_edited_is_not_copied_again(org, recall):
    before = recall("identity")

    LogEntry.objects.order_by("pk")[0].save()

    assert recall("identity") == before


def test_signing_in_is_no_change_of_settings(org, recall, rf):
    user = org.user("ada")
    before = recall("identity")

    user_logged_in.send(sender=User, request=rf.get("/"), user=user)

    assert User.objects.get(pk=user.pk).last_login is not None
    assert recall("identity") == before


@pytest.mark.django_db(transaction=True)
def test_a_row_the_framework_saves_by_itself_is_copied_too(committed_org, recall):
    user = committed_org.user("ada")
    before = len(copies(recall))
    assert not connection.in_atomic_block

    user.set_password("what an upgrade of the hash does")
    user.save(update_fields=["password"])

    assert [entry.data["fields"] for entry in copies(recall)[before:]] == [["password"]]


@pytest.mark.parametrize("model", list(LEFT_OUT))
def test_every_field_is_in_the_log_or_left_out_on_purpose(model):
    fields = {field.name for field in model._meta.fields}
    watched = set(auditlog.get_model_fields(model)["include_fields"])

    assert watched | LEFT_OUT[model] == fields
    assert not watched & LEFT_OUT[model]


def test_every_table_of_identity_is_watched():
    assert set(apps.get_app_config("identity").get_models()) | {Group} == set(LEFT_OUT)
    assert {Project, RoleAssignment} <= set(auditlog.get_models())
    assert fake.recall("identity") == []
