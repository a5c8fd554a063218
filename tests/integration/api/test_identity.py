"""Everything an administrator does, over HTTP."""

from datetime import UTC, datetime, timedelta

import pytest

from core.identity.models import ApiToken, User
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services.roles import assign_role
from core.kernel import limits
from tests.integration.api.conftest import Caller
from tests.world import PASSWORD


@pytest.fixture
def admin(town):
    """Return the client of an account that administers access and projects everywhere."""
    town.user("alma")
    for role in ("access_admin", "project_admin", "auditor"):
        assign_role(
            principal=town.system,
            role=role,
            scope_id=GLOBAL_SCOPE_ID,
            user_id=town.users["alma"].pk,
        )
    return town.as_("alma")


def test_an_administrator_sets_up_a_project_with_people(town, admin, nobody):
    project = admin.post("projects/", {"slug": "pay", "title": "Payments"})
    assert project.status_code == 201
    user = admin.post(
        "users/",
        {"username": "zoe", "name": "Zoe", "email": "zoe@example.org", "password": PASSWORD},
    )
    assert user.status_code == 201
    group = admin.post("groups/", {"name": "payers"})
    assert group.status_code == 201
    member = f"groups/{group.json()['id']}/members/{user.json()['id']}/"
    assert admin.send("put", member).status_code == 204
    assignment = admin.post(
        "assignments/",
        {
            "role": "requester",
            "scope_id": project.json()["scope_id"],
            "group_id": group.json()["id"],
            "reason": "they pay",
        },
    )
    assert assignment.status_code == 201
    assert assignment.json()["project"] == "pay"
    assert assignment.json()["granted_by"] == "alma"

    token = nobody.post("auth/token/", {"username": "zoe", "password": PASSWORD}).json()["token"]
    zoe = Caller(token)

    assert [item["slug"] for item in zoe.get("projects/").json()["items"]] == ["pay"]
    assert [item["name"] for item in zoe.get("groups/").json()["items"]] == ["payers"]
    assert [item["role"] for item in zoe.get("assignments/").json()["items"]] == ["requester"]
    path = f"assignments/{assignment.json()['id']}/"
    assert admin.get(path).json() == zoe.get(path).json() == assignment.json()
    found = admin.get("assignments/", scope_id=project.json()["scope_id"]).json()["items"]
    assert found == [assignment.json()]
    revoke = f"assignments/{assignment.json()['id']}/revoke/"
    assert admin.post(revoke, {"reason": "enough"}).status_code == 204
    assert zoe.get("projects/").json()["items"] == []
    assert zoe.get("assignments/").json()["items"] == []


def test_accounts_are_listed_by_name_and_read(town, admin):
    names = [item["username"] for item in admin.get("users/").json()["items"]]

    assert names == sorted(town.users)
    mara = town.users["mara"]
    body = admin.get(f"users/{mara.pk}/").json()
    assert (body["username"], body["kind"], body["is_active"]) == ("mara", "person", True)
    assert "password" not in body


def test_who_manages_one_project_sees_what_was_given_there(town):
    assign_role(
        principal=town.system,
        role="project_admin",
        scope_id=town.project.scope_id,
        user_id=town.users["otto"].pk,
    )

    seen = town.as_("otto").get("assignments/", limit=200).json()["items"]

    assert {item["scope_id"] for item in seen} == {str(town.project.scope_id)}
    assert {"mara", "ann", "otto"} <= {item["username"] for item in seen}
    assert [item["username"] for item in town.as_("otto").get("users/").json()["items"]] == sorted(
        town.users
    )


def test_an_account_is_changed_in_what_was_sent_only(town, admin):
    mara = town.users["mara"]

    body = admin.send("patch", f"users/{mara.pk}/", {"name": "Mara M."}).json()

    assert (body["name"], body["email"]) == ("Mara M.", "mara@example.org")


@pytest.mark.parametrize("field", ["is_staff", "is_superuser", "kind", "username", "is_active"])
def test_what_may_not_be_changed_is_refused_rather_than_ignored(town, admin, problem, field):
    path = f"users/{town.users['mara'].pk}/"

    body = problem(admin.send("patch", path, {field: True}), 422, "api.invalid_input")

    assert [item["code"] for item in body["errors"]] == ["unknown_field"]


def test_a_closed_account_is_out_and_comes_back_without_its_tokens(town, admin, problem):
    mara = town.as_("mara")
    path = f"users/{town.users['mara'].pk}/"
    assert mara.get("me/").status_code == 200

    assert admin.post(f"{path}deactivate/", {"reason": "left"}).status_code == 204

    problem(mara.get("me/"), 401, "api.credentials_refused")
    assert admin.get(path).json()["is_active"] is False
    assert admin.post(f"{path}activate/", {}).status_code == 204
    assert admin.get(path).json()["is_active"] is True
    problem(mara.get("me/"), 401, "api.credentials_refused")


def test_sessions_are_ended_by_their_owner_and_by_administrators(town, admin, problem):
    path = f"users/{town.users['mara'].pk}/sessions/"

    assert town.as_("mara").send("delete", path).status_code == 204
    assert admin.send("delete", path).status_code == 204
    problem(town.as_("ann").send("delete", path), 403, "identity.forbidden")
    assert User.objects.get(username="mara").session_generation == 2


def test_a_machine_gets_its_tokens_from_an_administrator(town, admin):
    owner = town.users["ann"]
    machine = admin.post(
        "machines/",
        {"username": "bot", "name": "Bot", "kind": "agent", "owner_id": str(owner.pk)},
    ).json()
    assert machine["person_id"] == str(owner.person_id)

    made = admin.post("tokens/", {"name": "ci", "user_id": machine["id"]})

    assert made.status_code == 201
    me = Caller(made.json()["token"]).get("me/").json()
    assert (me["username"], me["kind"]) == ("bot", "agent")
    names = [item["name"] for item in admin.get("tokens/", user_id=machine["id"]).json()["items"]]
    assert names == ["ci"]


def test_a_token_shows_its_secret_once(town, admin):
    made = admin.post(
        "machines/",
        {
            "username": "bot",
            "name": "Bot",
            "kind": "service",
            "owner_id": str(town.users["ann"].pk),
        },
    ).json()
    secret = admin.post("tokens/", {"name": "ci", "user_id": made["id"]}).json()["token"]

    listed = admin.get("tokens/", user_id=made["id"]).content.decode()

    assert secret not in listed
    assert ApiToken.objects.filter(digest=secret).count() == 0


def test_a_token_makes_no_tokens_for_its_own_account(town, problem):
    problem(town.as_("mara").post("tokens/", {"name": "more"}), 403, "identity.forbidden")


def test_ones_own_token_can_be_revoked_with_itself(town, problem):
    mara = town.as_("mara")
    [token] = mara.get("tokens/").json()["items"]

    assert mara.send("delete", f"tokens/{token['id']}/").status_code == 204

    problem(mara.get("me/"), 401, "api.credentials_refused")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": ""}, "/name"),
        ({"lifetime_seconds": 0}, "/lifetime_seconds"),
        ({"lifetime_seconds": 10**12}, "/lifetime_seconds"),
        ({"lifetime_seconds": "60"}, "/lifetime_seconds"),
        ({"permissions": ["fly"]}, "/permissions/0"),
        ({"permissions": "all"}, "/permissions"),
        ({"project_id": "x"}, "/project_id"),
    ],
)
def test_a_wrong_token_is_told_where(town, admin, change, path):
    town.user("bea")
    body = {"name": "x", "user_id": str(town.users["bea"].pk), **change}

    response = admin.post("tokens/", body)

    assert response.status_code in {403, 422}, response.content
    if response.status_code == 422:
        assert path in [item["path"] for item in response.json()["errors"]]


def test_members_come_and_go(town, admin):
    group = town.group("board")
    path = f"groups/{group.pk}/members/"
    member = f"{path}{town.users['vera'].pk}/"

    def names():
        return [item["username"] for item in admin.get(path).json()["items"]]

    assert names() == ["ann", "bob", "cid"]
    assert admin.send("put", member).status_code == 204
    assert admin.send("put", member).status_code == 204
    assert names() == ["ann", "bob", "cid", "vera"]
    assert admin.get(f"groups/{group.pk}/").json()["member_count"] == 4
    assert admin.send("delete", member).status_code == 204
    assert names() == ["ann", "bob", "cid"]


def test_a_member_sees_its_team_and_of_the_members_itself(town, problem):
    group = town.group("board")

    items = town.as_("ann").get(f"groups/{group.pk}/members/").json()["items"]

    assert [item["username"] for item in items] == ["ann"]
    problem(town.as_("mara").get(f"groups/{group.pk}/members/"), 404, "identity.not_found")


def test_roles_say_what_they_hold(town):
    roles = {item["slug"]: item for item in town.as_("stan").get("roles/").json()["items"]}

    assert "decide_request" in roles["approver"]["permissions"]
    assert "publish_workflow" not in roles["project_admin"]["permissions"]
    assert all(role["builtin"] for role in roles.values())


def test_an_assignment_ends_when_it_says(town, admin, problem):
    body = {
        "role": "viewer",
        "scope_id": str(town.project.scope_id),
        "user_id": str(town.users["stan"].pk),
    }
    past = datetime(2020, 1, 1, tzinfo=UTC).isoformat()
    problem(admin.post("assignments/", {**body, "expires_at": past}), 422, "identity.invalid")
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()

    made = admin.post("assignments/", {**body, "expires_at": soon})

    assert made.status_code == 201
    assert datetime.fromisoformat(made.json()["expires_at"]) == datetime.fromisoformat(soon)
    problem(admin.post("assignments/", body), 409, "identity.already_assigned")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"role": "emperor"}, 404, "identity.not_found"),
        ({"scope_id": "00000000-0000-7000-8000-0000000000ff"}, 404, "identity.not_found"),
        ({"user_id": None}, 422, "identity.invalid"),
        ({"group_id": 1}, 422, "identity.invalid"),
        ({"expires_at": "tomorrow"}, 422, "api.invalid_input"),
        ({"reason": "x" * (limits.REASON_CHARS_MAX + 1)}, 422, "api.invalid_input"),
    ],
)
def test_a_wrong_assignment_is_refused(town, admin, problem, change, status, code):
    body = {
        "role": "viewer",
        "scope_id": str(town.project.scope_id),
        "user_id": str(town.users["stan"].pk),
        **change,
    }

    problem(admin.post("assignments/", body), status, code)


def test_nobody_gives_roles_to_itself(town, admin, problem):
    body = {"role": "approver", "user_id": str(town.users["alma"].pk)}

    problem(admin.post("assignments/", body), 403, "identity.forbidden")


def test_a_project_is_shared_without_a_role(town, admin):
    stan = town.as_("stan")
    body = {"permission": "view_project", "user_id": str(town.users["stan"].pk)}
    assert stan.get("projects/acme/").status_code == 404

    assert admin.post("projects/acme/shares/", body).status_code == 204

    assert stan.get("projects/acme/").status_code == 200
    [share] = admin.get("projects/acme/shares/").json()["items"]
    assert (share["permission"], share["username"]) == ("view_project", "stan")
    assert admin.post("projects/acme/shares/revoke/", body).status_code == 204
    assert stan.get("projects/acme/").status_code == 404
    assert admin.get("projects/acme/shares/").json()["items"] == []


def test_a_project_changes_its_title_and_never_its_slug(town, admin, problem):
    body = admin.send("patch", "projects/acme/", {"title": "Acme Inc."}).json()

    assert (body["slug"], body["title"]) == ("acme", "Acme Inc.")
    problem(
        admin.send("patch", "projects/acme/", {"slug": "new", "title": "x"}),
        422,
        "api.invalid_input",
    )


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"slug": "acme", "title": "x"}, 409, "identity.name_taken"),
        ({"slug": "No Good", "title": "x"}, 422, "identity.invalid"),
        ({"slug": "good"}, 422, "api.invalid_input"),
    ],
)
def test_a_wrong_project_is_refused(town, admin, problem, body, status, code):
    problem(admin.post("projects/", body), status, code)


def test_names_that_are_taken_conflict(town, admin, problem):
    problem(admin.post("users/", {"username": "mara", "name": "M"}), 409, "identity.name_taken")
    problem(admin.post("groups/", {"name": "board"}), 409, "identity.name_taken")


@pytest.mark.parametrize("number", [2**31, 2**63, 10**30])
def test_numbers_no_row_can_have_are_just_missing(town, admin, problem, number):
    problem(admin.get(f"groups/{number}/"), 404, "identity.not_found")
    problem(admin.get(f"groups/{number}/members/"), 404, "identity.not_found")
    problem(admin.get(f"ledger/entries/{number}/"), 404, "audit.entry_missing")
    path = f"groups/{number}/members/{town.users['mara'].pk}/"
    problem(admin.send("put", path), 404, "identity.not_found")


def test_an_auditor_reads_the_ledger_to_the_byte(town, admin, problem):
    town.as_("mara")
    listed = admin.get("ledger/entries/", kind="token.created").json()["items"]
    assert {item["kind"] for item in listed} == {"token.created"}

    entry = admin.get(f"ledger/entries/{listed[0]['id']}/").json()

    assert entry["leaf"] == listed[0]["leaf"]
    assert set(entry["payloads"]) == set(entry["salts"]) == set(entry["commitments"])
    stream = admin.get("ledger/entries/", stream="identity").json()["items"]
    assert {item["stream"] for item in stream} == {listed[0]["stream"]}
    assert admin.get("ledger/entries/", stream=listed[0]["stream"]).json()["items"] == stream
    problem(admin.get("ledger/entries/", stream="No Stream"), 422, "audit.stream_name_invalid")


def test_refused_acts_are_on_record(town, admin):
    town.as_("stan").post("projects/", {"slug": "x", "title": "X"})

    [entry] = admin.get(
        "ledger/entries/", stream="access", actor=str(town.users["stan"].pk)
    ).json()["items"]

    assert entry["auth"] == "token"
    assert entry["via"] == "api"
    assert entry["request_id"]
