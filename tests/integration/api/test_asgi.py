"""What a client sends to the real entry of the web process."""

import asyncio

import httpx
import pytest

from core.asgi import application
from core.kernel import limits


def _post(chunks: list[bytes], **headers: str) -> httpx.Response:
    async def stream():
        for chunk in chunks:
            yield chunk

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            return await client.post(
                "/api/v1/auth/token/",
                content=stream(),
                headers={"content-type": "application/json", **headers},
            )

    return asyncio.run(send())


@pytest.fixture(autouse=True)
def _open(settings):
    settings.API_PASSWORD_TOKENS = True
    settings.ALLOWED_HOSTS = ["testserver"]


def test_a_body_in_chunks_is_read(problem):
    body = problem(_post([b'{"username":', b' "x"}']), 422, "api.invalid_input")

    assert [(item["path"], item["code"]) for item in body["errors"]] == [("/password", "required")]


def test_a_body_in_chunks_that_is_no_json_is_malformed(problem):
    problem(_post([b"{", b"{"]), 400, "api.malformed")


def test_a_body_in_chunks_over_the_limit_is_refused():
    response = _post([b"x" * (limits.BODY_BYTES_MAX // 2)] * 3)

    assert response.status_code == 413
    assert response.json()["code"] == "api.body_too_large"
    assert response.headers["content-type"] == "application/problem+json"
