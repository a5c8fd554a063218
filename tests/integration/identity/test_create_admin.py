"""`manage.py create_admin`."""

import io

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command

from core.identity.authorize import authorize
from core.identity.domain.permissions import PERSON_ONLY, Permission
from core.identity.models import RoleAssignment, User
from core.identity.selectors.principals import get_principal, make_origin
from core.identity.services import people
from core.kernel.record import Via

pytestmark = pytest.mark.django_db


def create_admin(*args, stdin="", monkeypatch=None, **options):
    out = io.StringIO()
    if monkeypatch is not None:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
    call_command("create_admin", *args, stdout=out, **options)
    return out.getvalue()


def roles_of(username):
    rows = RoleAssignment.objects.filter(user__username=username).order_by("role__slug")
    return list(rows.values_list("role__slug", "scope__kind", "expires_at", "granted_by"))


def test_the_first_administrator_gets_ordinary_roles(monkeypatch, recall):
    output = create_admin(
        "ada",
        name="Ada Lovelace",
        email="ada@example.com",
        password_stdin=True,
        stdin="between the looms\n",
        monkeypatch=monkeypatch,
    )

    user = User.objects.get(username="ada")
    assert authenticate(username="ada", password="between the looms") == user
    assert (user.name, user.email) == ("Ada Lovelace", "ada@example.com")
    assert (user.is_staff, user.is_superuser) == (True, False)
    assert roles_of("ada") == [
        ("access_admin", "global", None, None),
        ("project_admin", "global", None, None),
    ]
    principal = get_principal(
        user=user, origin=make_origin(user=user, via=Via.PORTAL, auth="session")
    )
    for permission in Permission:
        expected = permission not in {
            *PERSON_ONLY,
            Permission.PUBLISH_WORKFLOW,
            Permission.VIEW_AUDIT,
            Permission.EXPORT_AUDIT,
        }
        answer = authorize(principal=principal, permission=permission, scope_id=None)
        assert answer.allowed is expected, permission
    assert {entry.via for entry in recall("identity")} == {"command"}
    assert output == "ada is an administrator.\n"


def test_repeating_it_gives_back_what_is_missing_and_keeps_the_account():
    create_admin("ada", no_password=True)
    RoleAssignment.objects.filter(role__slug="project_admin").delete()

    create_admin("ada", "--name", "Somebody else", no_password=True)
    create_admin("ada", no_password=True)

    assert [row[0] for row in roles_of("ada")] == ["access_admin", "project_admin"]
    assert User.objects.get(username="ada").name == "ada"


def test_other_roles_can_be_named():
    create_admin("ada", "--role", "auditor", "--role", "access_admin", no_password=True)

    assert [row[0] for row in roles_of("ada")] == ["access_admin", "auditor"]


def test_what_is_wrong_is_said_and_leaves_nothing_behind(org, monkeypatch):
    for args, message in (
        (("Ada!",), "/username"),
        (("ada", "--role", "king"), "king"),
        (("ada", "--role", "breakglass"), "/expires_at"),
    ):
        with pytest.raises(CommandError, match=message):
            create_admin(*args, no_password=True)
        assert not User.objects.exists()
    with pytest.raises(CommandError, match="/password"):
        create_admin("ada", password_stdin=True, stdin="short\n", monkeypatch=monkeypatch)
    people.deactivate_user(principal=org.system, user_id=org.user("bob").pk)
    with pytest.raises(CommandError, match="deactivated"):
        create_admin("bob", no_password=True)


def test_a_typed_password_is_asked_for_twice(monkeypatch):
    typed = iter(["between the looms", "between the loons", "between the looms"] * 2)
    prompt = "core.identity.management.commands.create_admin.getpass"
    monkeypatch.setattr(prompt, lambda _text: next(typed))

    with pytest.raises(CommandError, match="differ"):
        create_admin("ada")
    assert not User.objects.exists()
    create_admin("ada")

    assert authenticate(username="ada", password="between the looms") is not None
