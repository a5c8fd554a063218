"""Receivers on the loopback address, and sinks that lead there."""

import base64

import pytest

from audit.models import OutwardCursor
from audit.outward.targets import Confirm, Endpoint, Format, HttpsSink, SyslogSink
from tests.certificates import make_authority
from tests.integration.audit.conftest import at_once  # noqa: F401 - a fixture of ours too
from tests.integration.outbound.conftest import raw_site  # noqa: F401 - a fixture of ours too
from tests.loopback import serve
from tests.syslog_receiver import receive

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


@pytest.fixture
def authority(tmp_path):
    return make_authority(tmp_path)


@pytest.fixture
def receiver(authority):
    with receive(authority.context("127.0.0.1")) as found:
        yield found


@pytest.fixture
def syslog_sink(receiver, authority):
    return make_syslog_sink(port=receiver.port, ca_file=str(authority.file))


@pytest.fixture
def site(authority):
    yield from serve("127.0.0.1", context=authority.context("127.0.0.1"))


@pytest.fixture
def https_sink(site, authority):
    return make_https_sink(url=f"https://127.0.0.1:{site.port}/in", ca_file=str(authority.file))


def make_syslog_sink(**changes):
    fields = {
        "name": "siem",
        "host": "127.0.0.1",
        "port": 6514,
        "format": Format.OCSF,
        "kinds": (),
        "starts_now": False,
        "is_private": True,
        "ca_file": "",
        "certificate_file": "",
        "key_file": "",
        "message_bytes_max": 8192,
        "enterprise": 32473,
        "confirm": Confirm.NOTIFY,
    }
    return SyslogSink(**{**fields, **changes})


def make_https_sink(*, url, ca_file="", secret=SECRET, is_private=True, **changes):
    endpoint = Endpoint(
        url=url, is_private=is_private, ca_file=ca_file, is_signed=True, secret=secret
    )
    fields = {
        "name": "lake",
        "endpoint": endpoint,
        "format": Format.ENTRY,
        "kinds": (),
        "starts_now": False,
    }
    return HttpsSink(**{**fields, **changes})


def cursor_of(name):
    return OutwardCursor.objects.get(name=name)


def make_due(name):
    """Let an attempt be made now that waits for its time."""
    row = cursor_of(name)
    OutwardCursor.objects.filter(name=name).update(next_at=row.next_at.replace(year=2020))
