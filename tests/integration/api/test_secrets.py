"""Secrets over HTTP: written, listed by name, recorded, and never given back."""

import json

import pytest

from audit.models import Entry
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services.roles import assign_role
from core.kernel import limits
from countersign.functions import list_functions
from engine.secrets.models import Secret

VALUE = "hunter2hunter2"


@pytest.fixture
def path(town):
    town.user("ada", "project_admin")
    town.user("vera2", "viewer", "editor")
    return f"projects/{town.slug}/secrets/"


def put(caller, path, name="TOKEN", **body):
    return caller.client.put(f"/api/v1/{path}{name}/", {"value": VALUE, **body}, format="json")


def test_a_secret_is_set_listed_and_deleted_without_its_value(town, path):
    ada = town.as_("ada")

    first = put(ada, path, description="to deploy")
    again = put(ada, path, value="another-value")

    assert (first.status_code, again.status_code) == (200, 200)
    assert (again.json()["number"], again.json()["description"]) == (2, "to deploy")
    (item,) = town.as_("vera2").get(path).json()["items"]
    assert item == again.json() | {"used_by": []}
    assert item["changed_by"] == "ada"
    assert set(item) == {
        *("id", "name", "description", "number", "created_at", "changed_at", "changed_by"),
        "used_by",
    }
    for answer in (first, again):
        assert VALUE not in answer.content.decode()
        assert "another-value" not in answer.content.decode()
    gone = ada.client.delete(f"/api/v1/{path}TOKEN/")
    assert gone.status_code == 204
    assert ada.client.delete(f"/api/v1/{path}TOKEN/").status_code == 404
    assert ada.get(path).json()["items"] == []


def test_every_change_is_on_record_and_says_nothing_about_the_value(town, path):
    ada = town.as_("ada")
    put(ada, path, description="to deploy")
    put(ada, path)
    ada.client.delete(f"/api/v1/{path}TOKEN/")

    entries = list(Entry.objects.filter(kind__startswith="secret.").order_by("id"))

    assert [entry.kind for entry in entries] == [
        "secret.created",
        "secret.changed",
        "secret.deleted",
    ]
    for entry in entries:
        assert str(town.project.scope_id) in str(entry.scope)
        assert VALUE not in str(vars(entry))


def test_an_editor_may_not_set_what_definitions_may_use(town, path):
    answer = put(town.as_("vera2"), path)

    assert answer.status_code == 403
    assert not Secret.objects.exists()


def test_who_manages_integrations_everywhere_may(town, path):
    town.user("iris")
    assign_role(
        principal=town.system,
        role="access_admin",
        scope_id=GLOBAL_SCOPE_ID,
        user_id=town.users["iris"].pk,
    )

    assert put(town.as_("iris"), path).status_code == 200


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("token", {}),
        ("A-B", {}),
        ("A" * 65, {}),
        ("TOKEN", {"value": "abc"}),
        ("TOKEN", {"value": "  abc  "}),
        ("TOKEN", {"value": f"{VALUE}\x00"}),
        ("TOKEN", {"value": VALUE * 2_000}),
        ("TOKEN", {"value": [VALUE]}),
        ("TOKEN", {"value": None}),
        ("TOKEN", {"description": "x" * 501}),
        ("TOKEN", {"val": VALUE}),
    ],
)
def test_what_cannot_be_kept_is_refused_and_never_echoed(town, path, name, body):
    answer = put(town.as_("ada"), path, name, **body)

    assert answer.status_code in {400, 422}
    assert VALUE not in answer.content.decode()
    assert not Secret.objects.exists()


def test_half_a_character_is_refused(town, path):
    answer = town.as_("ada").client.put(
        f"/api/v1/{path}TOKEN/", f'{{"value": "{VALUE}\\ud800"}}', content_type="application/json"
    )

    assert answer.status_code in {400, 422}
    assert VALUE not in answer.content.decode()
    assert not Secret.objects.exists()


def test_a_body_that_is_no_json_is_not_echoed(town, path):
    answer = town.as_("ada").client.put(
        f"/api/v1/{path}TOKEN/", f'{{"value": "{VALUE}"', content_type="application/json"
    )

    assert answer.status_code == 400
    assert VALUE not in answer.content.decode()


def test_a_project_has_so_many_secrets_and_no_more(town, path, monkeypatch):
    monkeypatch.setattr(limits, "SECRET_COUNT_MAX", 2)
    ada = town.as_("ada")

    assert [put(ada, path, name).status_code for name in ("A", "B", "C", "A")] == [
        200,
        200,
        409,
        200,
    ]


def test_names_are_paged_in_their_order(town, path):
    ada = town.as_("ada")
    for name in ("C", "A", "B"):
        put(ada, path, name)

    first = ada.get(path, limit=2).json()
    rest = ada.client.get(first["next"]).json()

    assert [item["name"] for item in (*first["items"], *rest["items"])] == ["A", "B", "C"]


def test_a_secret_that_is_not_there_is_a_warning_when_publishing(town, path):
    source = """
schema: flow/v1
kind: dag
name: uses_it
secrets: [TOKEN, OTHER]
steps:
  a: {uses: python/call@1, with: {function: t.none, a: "${{ secrets.TOKEN }} ${{ secrets.OTHER }}"}}
"""
    town.user("olga", "editor", "publisher")
    olga = town.as_("olga")
    put(town.as_("ada"), path, "OTHER")
    source = source.replace("t.none", min(list_functions()))
    saved = olga.client.post(f"/api/v1/workflows/{town.slug}/", {"source": source}, format="json")
    assert saved.status_code == 201, saved.content

    address = f"/api/v1/workflows/{town.slug}/uses_it/versions/{saved.json()['rev']}/publish/"
    published = olga.client.post(address)

    assert published.status_code == 200, published.content
    assert [item["code"] for item in published.json()["warnings"]] == ["flow.unknown_secret"]
    assert "TOKEN" in json.dumps(published.json()["warnings"])
