"""What a client may say on the socket."""

from uuid import UUID

import pytest

from core.kernel import limits
from core.toolkit.socket.protocol import FrameError, Subscribe, Topic, Unsubscribe, read_frame

_ID = UUID("018f0000-0000-7000-8000-000000000001")


def test_a_topic_without_an_id_is_read():
    assert read_frame('{"subscribe": "inbox"}') == Subscribe(topic=Topic(name="inbox"))


def test_a_topic_with_an_id_is_read():
    expected = Topic(name="run", id=_ID)

    assert read_frame(f'{{"unsubscribe": "run:{_ID}"}}') == Unsubscribe(topic=expected)


@pytest.mark.parametrize("text", ["inbox", f"run:{_ID}"])
def test_a_topic_is_written_as_it_is_read(text):
    assert str(read_frame(f'{{"subscribe": "{text}"}}').topic) == text


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "null",
        "7",
        '"inbox"',
        "[]",
        "{}",
        '{"subscribe": 7}',
        '{"subscribe": null}',
        '{"subscribe": ["inbox"]}',
        '{"subscribe": ""}',
        '{"subscribe": "Inbox"}',
        '{"subscribe": "run:7"}',
        '{"subscribe": "run:"}',
        f'{{"subscribe": "run:{str(_ID).upper()}"}}',
        f'{{"subscribe": "run:{_ID} "}}',
        f'{{"subscribe": "run:{_ID}\\n"}}',
        '{"subscribe": "inbox", "unsubscribe": "inbox"}',
        '{"subscribe": "inbox", "more": 1}',
        '{"publish": "inbox"}',
        "[" * 4_000,
        " " * limits.SOCKET_FRAME_BYTES_MAX + "{}",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(FrameError):
        read_frame(text)
