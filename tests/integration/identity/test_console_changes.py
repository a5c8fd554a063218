"""The administrator's console: what it changes and refuses."""

import re

import pytest
from django.contrib.auth.models import Group

from core.identity.models import ApiToken, Project, Role, RoleAssignment, RolePermission, User
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.tokens import verify_token
from tests.integration.identity.consoles import browser_of, text, user_page

LISTS = (
    "/admin/identity/user/",
    "/admin/auth/group/",
    "/admin/identity/project/",
    "/admin/identity/role/",
    "/admin/identity/roleassignment/",
    "/admin/identity/apitoken/",
)
ADDS = tuple(f"{page}add/" for page in LISTS if page != "/admin/identity/role/")


# --- what it changes -----------------------------------------------------------------------------


def test_an_account_is_made_by_its_service_and_on_record_under_the_administrator(
    admin, browser, latest
):
    answer = browser.post(
        "/admin/identity/user/add/",
        {"act": "add_person", "username": "noor", "name": "Nóra", "email": "n@example.org"},
    )
    user = User.objects.get(username="noor")
    entry = latest()

    assert (answer.status_code, answer["Location"]) == (303, user_page(user))
    assert (entry.kind, entry.subject) == ("user.created", str(user.pk))
    assert (entry.actor, entry.via) == (str(admin.user_id), "console")
    assert not user.has_usable_password()


def test_a_second_account_leads_to_the_same_person(org, browser):
    ada = org.user("ada")

    browser.post(
        "/admin/identity/user/add/",
        {"act": "add_person", "username": "ada2", "name": "Ada", "other_account": "Ada"},
    )

    assert User.objects.get(username="ada2").person_id == ada.person_id


def test_a_machine_is_made_for_its_owner(org, browser, latest):
    ada = org.user("ada")

    browser.post(
        "/admin/identity/user/add/",
        {"act": "add_machine", "username": "bot", "name": "B", "kind": "agent", "owner": "ada"},
    )

    bot = User.objects.get(username="bot")
    assert (bot.kind, bot.person_id) == ("agent", ada.person_id)
    assert latest().data["kind"] == "agent"


def test_an_account_is_changed_closed_and_opened_with_a_reason_on_record(org, browser, latest):
    user = org.user("ada")
    page = user_page(user)

    browser.post(page, {"act": "change", "name": "Ada B", "email": ""})
    changed = latest()
    closing = browser.post(page, {"act": "deactivate", "reason": "Left."})
    closed = latest()
    offered_then = text(browser.get(page))
    browser.post(page, {"act": "activate", "reason": "Came back."})
    opened = latest()
    browser.post(page, {"act": "end_sessions"})

    assert changed.kind == "user.changed"
    assert changed.payloads == {"account": {"name": "Ada B"}}
    assert closing.status_code == 303
    assert (closed.kind, closed.payloads["reason"]) == ("user.deactivated", "Left.")
    assert 'value="activate"' in offered_then
    assert 'value="deactivate"' not in offered_then
    assert (opened.kind, opened.payloads["reason"]) == ("user.activated", "Came back.")
    assert latest().kind == "sessions.ended"
    assert latest().via == "console"


def test_teams_are_made_filled_and_emptied(org, browser, latest):
    user = org.user("ada")
    browser.post("/admin/auth/group/add/", {"act": "add", "name": "board"})
    team = Group.objects.get(name="board")
    page = f"/admin/auth/group/{team.pk}/change/"

    browser.post(page, {"act": "add_member", "username": "ada"})
    inside = (latest().kind, user.groups.count())
    browser.post(page, {"act": "remove_member", "username": "ada"})

    assert inside == ("member.added", 1)
    assert (latest().kind, user.groups.count()) == ("member.removed", 0)


def test_projects_are_made_and_renamed(browser, latest):
    browser.post("/admin/identity/project/add/", {"act": "add", "slug": "shop", "title": "Shop"})
    project = Project.objects.get(slug="shop")
    made = latest(f"project:{project.pk}")
    page = f"/admin/identity/project/{project.pk}/change/"
    browser.post(page, {"act": "change", "title": "The shop"})

    assert (made.kind, made.via) == ("project.created", "console")
    assert Project.objects.get(slug="shop").title == "The shop"
    assert latest(f"project:{project.pk}").kind == "project.changed"


def test_roles_are_given_and_taken_back_with_a_reason_on_record(org, browser, latest):
    user = org.user("ada")
    typed = {
        "act": "add",
        "role": "viewer",
        "scope": str(org.pay.scope_id),
        "user": "ada",
        "expires_at": "2999-01-01T10:00",
        "reason": "Audit.",
    }
    browser.post("/admin/identity/roleassignment/add/", typed)
    assignment = RoleAssignment.objects.get(user=user)
    given = latest(f"project:{org.pay.pk}")
    page = f"/admin/identity/roleassignment/{assignment.pk}/change/"
    answer = browser.post(page, {"act": "revoke", "reason": "Done."})
    taken = latest(f"project:{org.pay.pk}")

    assert assignment.expires_at is not None
    assert assignment.expires_at.isoformat() == "2999-01-01T10:00:00+00:00"
    assert (given.kind, given.payloads["reason"], given.via) == (
        "role.assigned",
        "Audit.",
        "console",
    )
    assert answer["Location"] == "/admin/identity/roleassignment/"
    assert (taken.kind, taken.payloads["reason"]) == ("role.revoked", "Done.")
    assert not RoleAssignment.objects.filter(user=user).exists()


def test_a_form_that_is_sent_again_makes_nothing_more(org, admin, browser):
    page = "/admin/identity/apitoken/add/"
    [once] = re.findall(r'name="once" value="([0-9a-f]+)"', browser.get(page).content.decode())
    typed = {"act": "add", "name": "once", "days": "5", "once": once}

    statuses = [browser.post(page, typed).status_code for _ in range(2)]

    assert statuses == [201, 409]
    assert ApiToken.objects.filter(name="once").count() == 1


def test_the_secret_of_a_token_is_shown_once_and_kept_nowhere(org, admin, browser, latest):
    typed = {"act": "add", "name": "ci", "days": "3", "permissions": ["view_project"]}

    made = browser.post("/admin/identity/apitoken/add/", typed)

    token = ApiToken.objects.get()
    [secret] = re.findall(r'id="secret">(cs_[0-9a-f]{64})<', text(made))
    found = verify_token(secret)
    assert found is not None
    assert found[1] == token
    assert token.permissions == ["view_project"]
    page = f"/admin/identity/apitoken/{token.pk}/change/"
    shown = [
        text(browser.get(address)) for address in (page, "/admin/identity/apitoken/", "/admin/")
    ]
    for body in shown:
        assert secret not in body
        assert token.digest not in body
        assert token.token_key not in body
    assert secret not in str(dict(browser.session))
    assert latest().kind == "token.created"
    browser.post(page, {"act": "revoke"})
    assert verify_token(secret) is None
    assert (latest().kind, latest().via) == ("token.revoked", "console")


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "status", "said"),
    [
        ({"username": "BAD NAME", "name": "x"}, 422, "Use 1 to 64 of a-z"),
        ({"username": "ok", "name": ""}, 422, "This field is required."),
        ({"username": "ok", "name": "x", "email": "no"}, 422, "This is no email address."),
        ({"username": "ok", "name": "x", "password": "short"}, 422, "too short"),
        ({"username": "ok", "name": "x\x00"}, 422, "Null characters are not allowed."),
        ({"username": "ok", "name": "x", "other_account": "ghost"}, 422, "no account of this name"),
        ({"username": "admin", "name": "x"}, 409, "There is an account &#x27;admin&#x27; already."),
    ],
)
def test_what_a_service_refuses_stands_in_the_form_with_what_was_typed(
    browser, typed, status, said
):
    count = User.objects.count()

    answer = browser.post("/admin/identity/user/add/", {"act": "add_person", **typed})

    assert answer.status_code == status
    assert said in text(answer)
    assert f'value="{typed["username"]}"' in text(answer)
    assert "short" not in re.findall(r'name="password"[^>]*value="([^"]*)', text(answer))
    assert User.objects.count() == count


def test_nobody_changes_their_own_access_here_either(org, admin, browser, recall):
    typed = {"act": "add", "role": "viewer", "scope": str(GLOBAL_SCOPE_ID), "user": "admin"}
    count = RoleAssignment.objects.count()

    answer = browser.post("/admin/identity/roleassignment/add/", typed)

    assert answer.status_code == 403
    assert "You may not change your own access" in text(answer)
    assert RoleAssignment.objects.count() == count
    refused = recall("access")[-1]
    assert (refused.kind, refused.via) == ("access.refused", "console")


def test_nobody_makes_a_token_for_another_human_here_either(org, browser):
    org.user("ada")

    answer = browser.post(
        "/admin/identity/apitoken/add/", {"act": "add", "name": "x", "days": "1", "user": "ada"}
    )

    assert answer.status_code == 403
    assert "Nobody makes tokens for another human" in text(answer)
    assert not ApiToken.objects.exists()


def test_a_role_for_an_account_and_a_team_at_once_is_refused(org, browser):
    ada = org.user("ada")
    org.group("board", ada)
    typed = {"act": "add", "role": "viewer", "scope": str(GLOBAL_SCOPE_ID)}

    answer = browser.post(
        "/admin/identity/roleassignment/add/", {**typed, "user": "ada", "group": "board"}
    )

    assert answer.status_code == 422
    assert "Name either an account or a team." in text(answer)


def test_forms_are_offered_only_to_who_holds_what_they_take(org):
    user, other = org.user("keeper"), org.user("other")
    role = Role.objects.create(slug="token_keeper", title="Token keeper")
    RolePermission.objects.create(role=role, permission="manage_tokens")
    org.assign("token_keeper", GLOBAL_SCOPE_ID, user=user)
    browser = browser_of(user)

    page = text(browser.get(user_page(other)))
    answer = browser.post(user_page(other), {"act": "deactivate", "reason": "x"})

    assert "There is nothing that you may change here." in page
    assert answer.status_code == 200, "an act that is not offered is none"
    assert User.objects.get(pk=other.pk).is_active
    assert browser.get("/admin/identity/user/add/").status_code == 404
    assert browser.get("/admin/identity/apitoken/add/").status_code == 200


@pytest.mark.parametrize("sent", [{"_save": "1"}, {"act": "nonsense"}, {"act": ""}])
def test_what_the_framework_would_save_by_itself_is_not_saved(org, browser, recall, sent):
    user = org.user("ada")
    before = User.objects.values().get(pk=user.pk)
    entries = len(recall("identity"))

    browser.post(user_page(user), {"name": "X", "username": "x", "is_superuser": "on", **sent})

    assert User.objects.values().get(pk=user.pk) == before
    assert len(recall("identity")) == entries


@pytest.mark.parametrize("page", LISTS)
def test_a_list_takes_no_action_and_nothing_is_deleted(org, browser, page):
    user = org.user("ada")
    browser.post(
        page, {"action": "delete_selected", "_selected_action": str(user.pk), "post": "yes"}
    )

    assert User.objects.filter(pk=user.pk).exists()
    assert browser.get(f"/admin/identity/user/{user.pk}/delete/").status_code == 404
    assert browser.post(f"/admin/identity/user/{user.pk}/delete/").status_code == 404
    assert browser.get("/admin/identity/user/nonsense/change/").status_code == 404


def test_a_form_from_elsewhere_is_refused(org, admin):
    user = org.user("ada")
    browser = browser_of(User.objects.get(pk=admin.user_id), enforce_csrf_checks=True)

    answer = browser.post(user_page(user), {"act": "deactivate", "reason": "x"})

    assert answer.status_code == 403
    assert User.objects.get(pk=user.pk).is_active
