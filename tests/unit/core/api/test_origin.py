"""Where a request came from, as far as anybody trustworthy says so."""

import pytest
import structlog
from django.test import RequestFactory

from core.toolkit.api.origin import read_request_id, read_source_address


def _address(settings, *, proxies: int, peer: str = "10.0.0.9", forwarded: str | None = None):
    settings.TRUSTED_PROXY_COUNT = proxies
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    request = RequestFactory().get("/", REMOTE_ADDR=peer, headers=headers)
    return read_source_address(request)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, None, "10.0.0.9"),
        (0, "6.6.6.6", "10.0.0.9"),
        (1, "1.2.3.4", "1.2.3.4"),
        (1, "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        (2, "6.6.6.6, 1.2.3.4, 10.0.0.1", "1.2.3.4"),
        (2, "1.2.3.4", "10.0.0.9"),
        (1, None, "10.0.0.9"),
        (1, "nonsense", "10.0.0.9"),
        (1, "2001:DB8:0::1", "2001:db8::1"),
        (1, "::ffff:1.2.3.4", "1.2.3.4"),
    ],
)
def test_only_hops_of_ours_are_believed(settings, proxies, forwarded, expected):
    assert _address(settings, proxies=proxies, forwarded=forwarded) == expected


def test_a_peer_without_an_address_is_nobody(settings):
    assert _address(settings, proxies=0, peer="") == ""


def test_the_id_of_a_request_is_that_of_its_log_lines():
    with structlog.contextvars.bound_contextvars(request_id="0123456789abcdef"):
        assert read_request_id(RequestFactory().get("/")) == "0123456789abcdef"


@pytest.mark.parametrize("hostile", ["x", "a" * 65, "line\nbreak0", "sp ace sp ace"])
def test_an_ill_formed_id_is_replaced(hostile):
    request = RequestFactory().get("/")
    with structlog.contextvars.bound_contextvars(request_id=hostile):
        first = read_request_id(request)

        assert first != hostile
        assert read_request_id(request) == first
