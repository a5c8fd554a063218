"""What answers of others mean, and when to ask again."""

from datetime import UTC, datetime, timedelta

import pytest

from audit.outward.errors import OutwardSettingError
from audit.outward.posting import (
    Failure,
    context_for,
    delay_for,
    judge_answer,
    post,
    read_retry_after,
)
from audit.outward.targets import Endpoint
from core.kernel import limits
from core.toolkit.outbound import OutboundAnswer

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _answer(status, **headers):
    return OutboundAnswer(status=status, headers=headers, body=b"no")


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_what_begins_with_two_is_a_success(status):
    assert judge_answer(_answer(status), label="it") is None


@pytest.mark.parametrize(
    ("status", "is_final"),
    [(408, False), (425, False), (429, False), (500, False), (503, False)]
    + [(status, True) for status in (301, 307, 400, 401, 403, 404, 410, 413, 422)],
)
def test_only_what_may_pass_is_tried_again(status, is_final):
    failure = judge_answer(_answer(status), label="it")

    assert failure is not None
    assert failure.is_final is is_final
    assert failure.reason == f"it answered {status}: no"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("99999999999", 3600),
        ("Fri, 02 Jan 2026 03:05:05 GMT", 60),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0),
        ("Sat, 02 Jan 2027 03:00:00 GMT", 3600),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("٣", None),
    ],
)
def test_retry_after_is_read_within_our_own_bound(text, seconds):
    expected = None if seconds is None else timedelta(seconds=seconds)

    assert read_retry_after(text, now=NOW) == expected


def test_the_pause_grows_to_its_bound_and_is_never_shorter_than_asked_for():
    silent, asking = Failure(reason="x"), Failure(reason="x", retry_after=timedelta(hours=1))

    assert delay_for(attempt=1, failure=silent) == limits.FORWARD_DELAY_FIRST
    assert delay_for(attempt=2, failure=silent) == 2 * limits.FORWARD_DELAY_FIRST
    assert delay_for(attempt=10_000, failure=silent) == limits.FORWARD_DELAY_MAX
    assert delay_for(attempt=1, failure=asking) == timedelta(hours=1)


def test_a_secret_is_read_from_its_file_and_never_left_out(tmp_path):
    endpoint = Endpoint(
        url="https://a.example/x?token=1", is_signed=True, secret_file=str(tmp_path / "none")
    )

    failure = post(endpoint, body=b"", media_type="text/plain", timeout_seconds=1.0)

    assert isinstance(failure, Failure)
    assert failure.reason.startswith("The secret for https://a.example cannot be read from")


def test_certificates_that_cannot_be_read_are_an_error(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing", encoding="utf-8")

    for name in ("ca.pem", "none.pem"):
        with pytest.raises(OutwardSettingError):
            context_for(str(tmp_path / name))


def test_a_secret_is_in_no_repr():
    assert "hush" not in repr(Endpoint(url="https://a.example", is_signed=True, secret="hush"))
