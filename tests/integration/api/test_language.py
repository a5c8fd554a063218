"""The language's schema, for editors."""

import pytest

from engine.domain.flow.schema import language_schema


@pytest.mark.parametrize("path", ["/api/v1/schemas/flow/v1/", "/api/v1/schemas/flow/v1"])
def test_anybody_may_have_the_schema_of_the_language(nobody, path):
    answer = nobody.client.get(path)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/schema+json")
    assert answer.headers["Cache-Control"] == "public, max-age=3600"
    assert answer.json() == language_schema()


def test_the_schema_cannot_be_changed(nobody):
    assert nobody.client.post("/api/v1/schemas/flow/v1/", {}).status_code == 405
