"""The demo project: made once, through the services, and only where it belongs."""

from io import StringIO

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command

import examples.functions  # noqa: F401  # registers what the definitions name
from core.identity.authorize import authorize
from core.identity.domain.permissions import Permission
from core.identity.models import Project, RoleAssignment, User
from core.identity.selectors.principals import get_principal, make_origin
from core.kernel.record import Via
from engine.models import Version
from examples.cases import CASES
from examples.demo import cast
from examples.demo.cast import CAST, MACHINES
from examples.release.source import read_source

URL = "http://127.0.0.1:9001"
EVERYBODY = [member.username for member in (*CAST, *MACHINES)]
FILE_COUNT = sum(len(case.files) for case in CASES)


@pytest.fixture
def load(db, settings):
    """Load the demo with a target's address; return what it printed."""

    def call(url=URL):
        settings.DEMO_TARGET_URL = url
        output = StringIO()
        call_command("load_demo", stdout=output)
        return output.getvalue()

    return call


def _may(username, permission):
    user = User.objects.get(username=username)
    principal = get_principal(user=user, origin=make_origin(user=user, via=Via.API, auth="token"))
    scope_id = Project.objects.get(slug=cast.PROJECT_SLUG).scope_id
    return authorize(principal=principal, permission=permission, scope_id=scope_id).allowed


@pytest.mark.django_db
def test_without_the_demo_settings_nothing_is_made():
    with pytest.raises(CommandError, match="demo settings"):
        call_command("load_demo")

    assert not User.objects.exists()


def test_everybody_is_there_and_is_printed(load):
    text = load()

    for member in CAST:
        assert member.username in text
        user = authenticate(username=member.username, password=cast.PASSWORD)
        assert user is not None
        assert sorted(user.groups.values_list("name", flat=True)) == sorted(member.teams)
    assert cast.PASSWORD in text


def test_everybody_may_do_what_the_story_needs_and_no_more(load):
    load()

    may = {
        permission: {name for name in EVERYBODY if _may(name, permission)}
        for permission in (
            Permission.TRIGGER_WORKFLOW,
            Permission.EDIT_WORKFLOW,
            Permission.PUBLISH_WORKFLOW,
            Permission.DECIDE_REQUEST,
            Permission.OPERATE_RUN,
        )
    }
    assert may == {
        Permission.TRIGGER_WORKFLOW: {
            *("mara", "tess", "ivo", "jun", "rex", "kai", "scout", "relay"),
        },
        Permission.EDIT_WORKFLOW: {"mara", "kai"},
        Permission.PUBLISH_WORKFLOW: {"pia"},
        Permission.DECIDE_REQUEST: {
            *("mara", "ada", "noor", "owen", "lin", "tess", "ivo", "jun"),
        },
        Permission.OPERATE_RUN: {"rex", "kai", "relay"},
    }
    assert [user.username for user in User.objects.filter(is_staff=True)] == ["admin"]
    assert not User.objects.filter(is_superuser=True).exists()


def test_the_workflow_is_published_with_the_address_of_its_target(load):
    load()

    version = Version.objects.get(workflow__slug="release")
    assert (version.status, version.rev) == ("published", 1)
    assert version.author.username == "mara"
    assert version.published_by == User.objects.get(username="pia")
    assert version.plan["variables"] == {"target": URL}


def test_every_definition_is_published_and_every_machine_has_its_owner(load):
    load()

    assert Version.objects.filter(status="published").count() == FILE_COUNT
    for machine in MACHINES:
        user = User.objects.get(username=machine.username)
        owner = User.objects.get(username=machine.owner)
        assert (user.kind, user.person_id) == (machine.kind, owner.person_id)
        assert not user.has_usable_password()


def test_loading_again_changes_nothing(load):
    load()
    before = (User.objects.count(), RoleAssignment.objects.count(), Version.objects.count())

    load()

    after = (User.objects.count(), RoleAssignment.objects.count(), Version.objects.count())
    assert after == before


def test_a_target_elsewhere_is_a_new_version(load):
    load()
    load("http://127.0.0.1:9002")

    assert Version.objects.count() == FILE_COUNT + 1
    versions = Version.objects.filter(workflow__slug="release").order_by("rev")
    assert [version.plan["variables"]["target"] for version in versions] == [
        URL,
        "http://127.0.0.1:9002",
    ]
    assert versions[1].status == "published"


def test_what_somebody_changed_is_left_alone(load):
    load()
    User.objects.filter(username="ada").update(name="Ada Lovelace")

    load()

    assert User.objects.get(username="ada").name == "Ada Lovelace"


def test_the_source_differs_from_the_file_in_one_line():
    text = read_source(target_url=URL)

    assert f'target: "{URL}"' in text
    original = read_source(target_url="http://127.0.0.1:8001")
    changed = [
        (old, new)
        for old, new in zip(original.splitlines(), text.splitlines(), strict=True)
        if old != new
    ]
    assert len(changed) == 1
