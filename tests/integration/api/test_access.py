"""Every address times every method: who gets in, and how the others are turned away.

Nobody is 401. Who may not read finds nothing, who may not act is refused: a stranger, who sees
nothing of the project, and a viewer, who sees it and may do nothing, are tried on all of them.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.timezone import now
from rest_framework.permissions import IsAuthenticated

from core.identity.services.groups import create_group
from core.identity.services.projects import create_project
from core.identity.services.roles import assign_role
from core.identity.services.tokens import create_token
from core.kernel.ids import uuid7
from core.toolkit.api.authentication import SessionAuthentication, TokenAuthentication
from core.toolkit.api.fallbacks import refuse_unknown_address
from core.toolkit.api.views import ApiViewSet
from engine.models import Claim
from tests.integration.api.conftest import Caller

_SOURCE = {"source": "schema: flow/v1"}
_DEFINITION = "schema: flow/v1\nkind: dag\nname: new\nsteps: {a: {wait: {timer: PT1S}}}\n"
_EVENT = {"specversion": "1.0", "id": "e", "source": "/x", "type": "a.b"}
_CLAIM = {"project": "acme", "topics": ["t"], "worker": "w"}
_PERIOD = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}
_DIGEST = "ab" * 32

# Addresses that answer without credentials, and why.
_PUBLIC = {
    "api-schema": "open where a setting says so; see test_schema",
    "api-auth-token": "it takes the credentials; off unless a setting allows it",
    "api-flow-schema": "the language is no secret, and an editor has no session",
    "api-hook": "the signature of the request is what lets it in; see test_hooks",
    "api-unknown": "there is nothing behind it",
}


@dataclass(frozen=True)
class Turned:
    """What a stranger and a viewer get: a status, or `EMPTY`, a list without items."""

    stranger: int | str
    viewer: int | str
    body: object = None


ENDS_THE_CALLER = frozenset({"api-logout"})  # needs a token that nothing else needs
EMPTY = "a list without items"
OWN = "a list of their own things"

# What every address answers, by its name and method. One that is missing here fails a test.
EXPECTED: dict[tuple[str, str], Turned] = {
    ("api-me", "get"): Turned(200, 200),
    ("api-logout", "post"): Turned(204, 204),
    ("api-tokens", "get"): Turned(OWN, OWN),
    ("api-tokens", "post"): Turned(403, 403, {"name": "x"}),
    ("api-token", "delete"): Turned(403, 403),
    ("api-users", "get"): Turned(OWN, OWN),
    ("api-users", "post"): Turned(403, 403, {"username": "new", "name": "New"}),
    ("api-user", "get"): Turned(404, 404),
    ("api-user", "patch"): Turned(403, 403, {"name": "Other"}),
    ("api-user-deactivate", "post"): Turned(403, 403, {}),
    ("api-user-activate", "post"): Turned(403, 403, {}),
    ("api-user-sessions", "delete"): Turned(403, 403),
    ("api-machines", "post"): Turned(
        403,
        403,
        {"username": "bot", "name": "Bot", "kind": "agent", "owner_id": str(UUID(int=9))},
    ),
    ("api-groups", "get"): Turned(EMPTY, EMPTY),
    ("api-groups", "post"): Turned(403, 403, {"name": "new"}),
    ("api-group", "get"): Turned(404, 404),
    ("api-members", "get"): Turned(404, 404),
    ("api-member", "put"): Turned(403, 403),
    ("api-member", "delete"): Turned(403, 403),
    ("api-redactions", "get"): Turned(EMPTY, EMPTY),
    ("api-redactions", "post"): Turned(
        403,
        403,
        {
            "target": "run",
            "target_id": str(UUID(int=9)),
            "basis": "gdpr_17",
            "reason": "they asked",
        },
    ),
    ("api-redaction", "get"): Turned(404, 404),
    ("api-redaction-approve", "post"): Turned(403, 403, {}),
    ("api-redaction-decline", "post"): Turned(403, 403, {"reason": "no"}),
    ("api-holds", "get"): Turned(EMPTY, EMPTY),
    ("api-holds", "post"): Turned(
        403, 403, {"kind": "run", "target_id": str(UUID(int=9)), "reason": "a court asks"}
    ),
    ("api-hold-release", "post"): Turned(403, 403, {"reason": "over"}),
    ("api-retention", "get"): Turned(EMPTY, EMPTY),
    ("api-retention-outlook", "get"): Turned(403, 403),
    ("api-project-retention", "put"): Turned(
        403, 403, {"part": "runs", "period": "P30D", "reason": "policy"}
    ),
    ("api-projects", "get"): Turned(EMPTY, 200),
    ("api-projects", "post"): Turned(403, 403, {"slug": "new", "title": "New"}),
    ("api-project", "get"): Turned(404, 200),
    ("api-project", "patch"): Turned(404, 403, {"title": "Other"}),
    ("api-shares", "get"): Turned(404, 404),
    ("api-shares", "post"): Turned(404, 403, {"permission": "view_project", "group_id": 1}),
    ("api-share-revoke", "post"): Turned(404, 403, {"permission": "view_project", "group_id": 1}),
    ("api-roles", "get"): Turned(200, 200),
    ("api-assignments", "get"): Turned(EMPTY, OWN),
    ("api-assignments", "post"): Turned(403, 403, {"role": "viewer", "group_id": 1}),
    ("api-assignment", "get"): Turned(404, 404),
    ("api-assignment-revoke", "post"): Turned(403, 403, {}),
    ("api-entries", "get"): Turned(EMPTY, EMPTY),
    ("api-entry", "get"): Turned(404, 404),
    ("api-entry-proof", "get"): Turned(404, 404),
    ("api-entry-receipt", "get"): Turned(404, 404),
    ("api-log", "get"): Turned(404, 404),
    ("api-log-heads", "get"): Turned(404, 404),
    ("api-log-consistency", "get"): Turned(404, 404),
    ("api-ledger-outward", "get"): Turned(404, 404),
    ("api-ledger-report", "get"): Turned(404, 404),
    ("api-exports", "get"): Turned(EMPTY, EMPTY),
    ("api-exports", "post"): Turned(403, 403, {"kind": "whole"}),
    ("api-export", "get"): Turned(404, 404),
    ("api-export-cancel", "post"): Turned(404, 404),
    ("api-export-download", "get"): Turned(404, 404),
    ("api-events", "post"): Turned(404, 403, _EVENT),
    ("api-task-claim", "post"): Turned(404, 403, _CLAIM),
    ("api-task-heartbeat", "post"): Turned(404, 403, {"token": str(UUID(int=9))}),
    ("api-task-complete", "post"): Turned(404, 403, {"token": str(UUID(int=9))}),
    ("api-task-fail", "post"): Turned(404, 403, {"token": str(UUID(int=9)), "message": "x"}),
    ("api-secrets", "get"): Turned(404, 200),
    ("api-secret", "put"): Turned(404, 403, {"value": "hunter2hunter2"}),
    ("api-secret", "delete"): Turned(404, 403),
    ("api-lint", "post"): Turned(200, 200, _SOURCE),
    ("api-diff", "post"): Turned(404, 200, {"source": _DEFINITION}),
    ("api-workflows", "get"): Turned(EMPTY, 200),
    ("api-workflow-save", "post"): Turned(404, 403, _SOURCE),
    ("api-workflow", "get"): Turned(404, 200),
    ("api-versions", "get"): Turned(404, 200),
    ("api-version", "get"): Turned(404, 200),
    ("api-version-publish", "post"): Turned(404, 403),
    ("api-version-preview", "get"): Turned(404, 403),
    ("api-triggers", "get"): Turned(404, 200),
    ("api-trigger-pause", "post"): Turned(404, 403, {"reason": "x"}),
    ("api-trigger-resume", "post"): Turned(404, 403, {"reason": "x"}),
    ("api-trigger-secret", "post"): Turned(404, 403, {}),
    ("api-backfills", "get"): Turned(404, 200),
    ("api-backfills", "post"): Turned(404, 403, _PERIOD),
    ("api-backfill", "get"): Turned(404, 404),
    ("api-backfill-cancel", "post"): Turned(404, 403, {"reason": "x"}),
    ("api-run-start", "post"): Turned(404, 403, {"inputs": {}}),
    ("api-workflow-pause", "get"): Turned(404, 200),
    ("api-workflow-pause", "post"): Turned(404, 403, {"reason": "x"}),
    ("api-workflow-resume", "post"): Turned(404, 403, {"reason": "x"}),
    ("api-project-flow", "get"): Turned(404, 200),
    ("api-project-quota", "put"): Turned(404, 403, {}),
    ("api-project-pause", "post"): Turned(404, 403, {"reason": "x"}),
    ("api-project-resume", "post"): Turned(404, 403, {"reason": "x"}),
    ("api-runs", "get"): Turned(EMPTY, 200),
    ("api-run", "get"): Turned(404, 200),
    ("api-run-state", "get"): Turned(404, 200),
    ("api-run-steps", "get"): Turned(404, 200),
    ("api-run-events", "get"): Turned(404, 200),
    ("api-run-events", "post"): Turned(404, 403, {"type": "t", "reason": "r"}),
    ("api-workflow-migrate", "post"): Turned(
        404, 403, {"from_rev": 1, "to_rev": 1, "reason": "better"}
    ),
    ("api-workflow-migrate-preview", "post"): Turned(404, 403, {"from_rev": 1, "to_rev": 1}),
    ("api-run-cancel", "post"): Turned(404, 403, {}),
    ("api-runs-operate", "post"): Turned(
        404, 200, {"verb": "pause", "reason": "r", "project": "acme"}
    ),
    ("api-run-rerun", "post"): Turned(404, 403, {"reason": "once more"}),
    ("api-run-rerun-preview", "post"): Turned(404, 403, {}),
    ("api-run-pause", "post"): Turned(404, 403, {"reason": "r"}),
    ("api-run-resume", "post"): Turned(404, 403, {"reason": "r"}),
    ("api-step-retry", "post"): Turned(404, 403, {"reason": "r"}),
    ("api-step-skip", "post"): Turned(404, 403, {"reason": "r"}),
    ("api-requests", "get"): Turned(EMPTY, EMPTY),
    ("api-request", "get"): Turned(404, 200),
    ("api-request-why", "get"): Turned(404, 200),
    ("api-vote-receipt", "get"): Turned(404, 404),
    ("api-request-decide", "post"): Turned(403, 403, {"decision": "approve", "digest": _DIGEST}),
}


def _patterns(resolver, prefix="/"):
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _patterns(entry, route)
        else:
            assert isinstance(entry, URLPattern)
            yield route, entry


def _addresses():
    return [(route, entry) for route, entry in _patterns(get_resolver()) if "/api/" in route]


def _named(entry):
    """Return the name of an address; its spelling without the slash has that of the other."""
    if entry.name:
        return entry.name
    for _, other in _addresses():
        if other.name and str(other.pattern).rstrip("/") == str(entry.pattern):
            return other.name
    raise AssertionError(entry)


def _methods(entry) -> set[str]:
    return set(getattr(entry.callback, "actions", None) or {"get": ""}) - {"head"}


def test_every_address_has_a_row_in_the_table():
    found = {
        (_named(entry), method)
        for _, entry in _addresses()
        if _named(entry) not in _PUBLIC
        for method in _methods(entry)
    }

    assert found == set(EXPECTED)


def test_no_view_lets_anybody_in():
    checked = 0
    for route, entry in _addresses():
        name = _named(entry)
        if name in _PUBLIC:
            continue
        view = entry.callback.cls
        assert issubclass(view, ApiViewSet), route
        assert list(view.permission_classes) == [IsAuthenticated], route
        assert list(view.authentication_classes) == [
            TokenAuthentication,
            SessionAuthentication,
        ], route
        assert view.throttle_classes, route
        checked += 1
    assert checked > 40


# What a stranger may ask outside the API, and why. The console has tests of its own.
OPEN_PAGES = {
    "/": "sends to the inbox",
    "/healthz": "a probe",
    "/readyz": "a probe",
    "/sign-in/": "how one stops being a stranger",
    "/sign-out/": "sends to the sign-in",
    "/theme/": "keeps a cookie, and takes only POST",
    "/ledger/countersign_verify.py": "the verifier itself; see test_verifier_file",
    "/ledger/log/checkpoint": "a file for programs; see test_log_files",
    "/ledger/log/tile/<path:path>": "a file for programs; see test_log_files",
}


def test_every_page_asks_strangers_to_sign_in(client, place):
    pages = _pages()

    assert len(pages) >= 9
    for route in pages:
        for answer in (client.get(_path(route, place)), client.post(_path(route, place))):
            assert answer.status_code == 401, route
            assert "Sign in" in answer.content.decode()


def test_a_page_of_something_is_not_there_for_who_may_not_see_it(client, town, place):
    town.user("eve")
    client.force_login(town.users["eve"], backend="django.contrib.auth.backends.ModelBackend")

    named = [route for route in _pages() if "<" in route]

    assert len(named) >= 6
    for route in named:
        for answer in (client.get(_path(route, place)), client.post(_path(route, place))):
            assert answer.status_code in {404, 405}, route


def _pages() -> list[str]:
    outside = [route for route, _ in _patterns(get_resolver()) if "/api/" not in route]
    return [
        route for route in outside if not route.startswith("/admin/") and route not in OPEN_PAGES
    ]


def test_unknown_addresses_lead_nowhere():
    [(_, last)] = [item for item in _addresses() if item[1].name == "api-unknown"]

    assert last.callback is refuse_unknown_address


@pytest.fixture
def place(town):
    """Return what the addresses name, all of it real."""
    run_id = town.run()
    request = town.request()
    group = create_group(principal=town.system, name="others")
    town.user("root")
    with_roles = town.as_("ann")  # makes a token that is not the callers' own
    assert with_roles.get("me/").status_code == 200
    token, _ = create_token(principal=town.principal("ann"), name="other")
    assignment = town.users["ann"].assignments.get()
    return {
        "token_id": token.pk,
        "user_id": town.users["ann"].pk,
        "group_id": group.pk,
        "project": town.slug,
        "assignment_id": assignment.pk,
        "entry_id": 1,
        "slug": "flow1",
        "name": "github",
        "backfill_id": UUID(int=9),
        "export_id": UUID(int=9),
        "redaction_id": UUID(int=9),
        "hold_id": UUID(int=9),
        "rev": 1,
        "run_id": run_id,
        "key": "ask%231",
        "request_id": request.pk,
        "vote_id": UUID(int=9),
        "task_id": _claim(town, run_id).pk,
    }


def _claim(town, run_id) -> Claim:
    """Return a task that somebody has."""
    return Claim.objects.create(
        id=uuid7(),
        token=uuid7(),
        run_id=run_id,
        project=town.project,
        account=town.users["ann"],
        worker="w",
        topic="t",
        key="approve#1",
        attempt=1,
        round=1,
        status="held",
        lease_seconds=60,
        claimed_at=now(),
        lease_until=now() + timedelta(minutes=1),
        deadline_at=now() + timedelta(hours=1),
    )


def _path(route: str, place: dict[str, object]) -> str:
    for name, value in place.items():
        for kind in ("uuid", "slug", "int", "str", "path"):
            route = route.replace(f"<{kind}:{name}>", str(value))
    assert "<" not in route, route
    return route


def _asking(entry: URLPattern, place: dict[str, object]) -> str:
    """Return the query an address cannot do without."""
    queries = {
        "api-events": f"?project={place['project']}",
        "api-log-consistency": "?first=0&second=1",
        "api-ledger-report": "?since=2026-01-01T00:00:00Z&until=2026-02-01T00:00:00Z",
    }
    return queries.get(_named(entry), "")


def _send(caller: Caller, method: str, path: str, body: object):
    return getattr(caller.client, method)(path, body, format=None if body is None else "json")


def test_nobody_gets_in_anywhere(place, nobody, problem):
    count = 0
    for route, entry in _addresses():
        if _named(entry) in _PUBLIC:
            continue
        for method in ("get", "post", "put", "patch", "delete", "options", "head"):
            response = _send(nobody, method, _path(route, place), None)
            if method == "head":
                assert response.status_code == 401, route
            else:
                problem(response, 401, "api.not_authenticated")
            count += 1
    assert count > 500


@pytest.mark.parametrize(("name", "who"), [("stan", "stranger"), ("vera", "viewer")])
def test_whoever_may_not_is_turned_away(town, place, name, who):
    caller = town.as_(name)
    wrong = []
    for route, entry in _addresses():
        for method in _methods(entry):
            turned = EXPECTED.get((_named(entry), method))
            if turned is None:
                continue
            expected = getattr(turned, who)
            sender = caller
            if _named(entry) in ENDS_THE_CALLER:
                _, spare = create_token(principal=town.principal(name), name="spare")
                sender = Caller(spare)
            path = _path(route, place) + _asking(entry, place)
            response = _send(sender, method, path, turned.body)
            if not _answers(response, expected, town.users[name]):
                found = (response.status_code, response.content[:200])
                wrong.append((method, route, expected, found))
    assert wrong == []


def _answers(response, expected: int | str, user):
    if expected == EMPTY:
        return response.status_code == 200 and response.json()["items"] == []
    if expected == OWN:
        items = response.json()["items"]
        return response.status_code == 200 and all(
            str(user.pk) in (item.get("user_id"), item.get("id")) for item in items
        )
    return response.status_code == expected


def test_lists_of_one_project_never_show_another(town, place):
    """Everything is read as somebody who holds every role, but in another project."""
    other = create_project(principal=town.system, slug="rival", title="Rival")
    rita = town.user("rita")
    for role in ("project_admin", "approver", "auditor", "operator", "publisher"):
        assign_role(principal=town.system, role=role, scope_id=other.scope_id, user_id=rita.user_id)
    caller = town.as_("rita")

    for path in ("workflows/", "runs/", "requests/?view=all", "requests/?view=decided"):
        assert caller.get(path).json()["items"] == [], path
    assert [item["slug"] for item in caller.get("projects/").json()["items"]] == ["rival"]
    for path in ("workflows/", "runs/", "requests/"):
        assert caller.get(path, project=town.slug).json()["items"] == [], path
    entries = caller.get("ledger/entries/").json()["items"]
    assert {item["scope_id"] for item in entries} <= {str(other.scope_id)}


def test_the_ledger_of_one_project_never_shows_another(town, place):
    """An auditor of one project reads its entries and those of its workflows, and no others."""
    other = create_project(principal=town.system, slug="rival", title="Rival")
    for name, project in (("rita", other), ("aud", town.project)):
        user_id = town.user(name).user_id
        assign_role(
            principal=town.system, role="auditor", scope_id=project.scope_id, user_id=user_id
        )
    stream = f"run:{place['run_id']}"

    seen = town.as_("aud").get("ledger/entries/", stream=stream).json()["items"]

    assert "run.started" in {item["kind"] for item in seen}
    for entry in seen:
        path = f"ledger/entries/{entry['id']}/"
        assert town.as_("aud").get(path).status_code == 200
        assert town.as_("rita").get(path).status_code == 404
    assert town.as_("rita").get("ledger/entries/", stream=stream).json()["items"] == []
    assert town.as_("aud").get("ledger/entries/", stream="identity").json()["items"] == []


def test_a_token_for_one_project_sees_no_other(town, place):
    token, secret = create_token(
        principal=town.principal("mara"), name="narrow", project_id=_other_project(town).pk
    )
    caller = Caller(secret)

    assert caller.get("me/").json()["token"]["project_id"] == str(token.project_id)
    assert caller.get("runs/").json()["items"] == []
    assert caller.get(f"runs/{place['run_id']}/").status_code == 404
    assert town.as_("mara").get(f"runs/{place['run_id']}/").status_code == 200


def test_a_token_with_few_permissions_does_no_more(town, place, problem):
    _, secret = create_token(
        principal=town.principal("mara"), name="reader", permissions=["view_workflow"]
    )
    caller = Caller(secret)

    assert caller.get(f"runs/{place['run_id']}/").status_code == 200
    body = problem(caller.post(f"runs/{place['run_id']}/cancel/", {}), 403, "identity.forbidden")
    assert body["permission"] == "operate_run"
    assert town.as_("mara").post(f"runs/{place['run_id']}/cancel/", {}).status_code == 204


def _other_project(town):
    return create_project(principal=town.system, slug="rival", title="Rival")
