"""The OpenAPI document."""

import pytest
from django.urls import get_resolver
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from tests.integration.api.test_access import _PUBLIC, EXPECTED

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def document():
    with GENERATOR_STATS.silence():
        return SchemaGenerator().get_schema(request=None, public=True)


def _operations(document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield path, method, operation


def test_it_is_made_without_a_warning(capsys):
    GENERATOR_STATS.reset()

    SchemaGenerator().get_schema(request=None, public=True)

    found = (GENERATOR_STATS._warn_cache, GENERATOR_STATS._error_cache)
    assert (dict(found[0]), dict(found[1])) == ({}, {}), capsys.readouterr().err


def test_it_is_openapi_3_1(document):
    assert document["openapi"].startswith("3.1.")
    assert document["components"]["securitySchemes"].keys() == {"token", "session"}


def test_it_has_every_operation_once(document):
    operations = list(_operations(document))

    assert len(operations) == len(EXPECTED) + 2  # a password for a token, and a webhook
    ids = [operation["operationId"] for _, _, operation in operations]
    assert len(set(ids)) == len(ids)
    assert all(path.startswith("/api/v1/") and path.endswith("/") for path, _, _ in operations)


def test_every_operation_says_what_it_is_and_how_it_fails(document):
    for path, method, operation in _operations(document):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["description"].endswith("."), where
        responses = operation["responses"]
        assert any(status.startswith("2") for status in responses), where
        assert {"401", "429", "default"} <= responses.keys(), where
        if method != "get" and "requestBody" in operation:
            assert {"400", "413", "415", "422"} <= responses.keys(), where
        if "{" in path and method == "get":
            assert "404" in responses, where
        for status, response in responses.items():
            if status.startswith("2"):
                continue
            [(media_type, content)] = response["content"].items()
            assert media_type == "application/problem+json", where
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}, where


def test_only_a_password_and_a_signature_are_credentials_themselves(document):
    open_operations = [
        operation["operationId"]
        for _, _, operation in _operations(document)
        if operation.get("security") in (None, [], [{}])
    ]

    assert sorted(open_operations) == ["auth_token", "hooks_receive"]


def test_inputs_are_closed_and_nothing_secret_is_an_output(document):
    schemas = document["components"]["schemas"]
    inputs = [name for name in schemas if name.endswith("Input")]

    assert len(inputs) >= 15
    assert all(schemas[name]["additionalProperties"] is False for name in inputs)
    for name, schema in schemas.items():
        if name not in inputs:
            assert "password" not in schema.get("properties", {}), name


def test_lists_are_pages(document):
    for path, _, operation in _operations(document):
        names = {parameter["name"] for parameter in operation.get("parameters", [])}
        if "cursor" in names:
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            page = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            assert page["properties"].keys() == {"items", "next"}, path


def test_the_main_operations_have_examples(document):
    for operation_id in ("runs_start", "requests_decide", "workflows_save"):
        [operation] = [
            found for _, _, found in _operations(document) if found["operationId"] == operation_id
        ]
        assert operation["requestBody"]["content"]["application/json"]["examples"]


@pytest.mark.parametrize("path", ["/api/schema/", "/api/schema"])
@pytest.mark.parametrize("kind", ["application/vnd.oai.openapi+json", "*/*"])
def test_it_is_served_to_callers_and_where_a_setting_says_so_to_all(
    town, nobody, problem, settings, path, kind
):
    headers = {"accept": kind}

    problem(nobody.client.get(path, headers=headers), 401, "api.not_authenticated")
    assert b"runs_start" in town.as_("stan").client.get(path, headers=headers).content
    settings.API_DOCUMENT_PUBLIC = True
    assert nobody.client.get(path, headers=headers).status_code == 200


def test_public_addresses_are_the_ones_listed():
    names = {pattern.name for pattern in get_resolver().url_patterns if hasattr(pattern, "name")}

    assert not names & set(EXPECTED)
    assert set(_PUBLIC) == {
        "api-schema",
        "api-auth-token",
        "api-flow-schema",
        "api-hook",
        "api-unknown",
    }


def test_the_document_is_valid(document):
    validate_schema(document)
