"""Checkpoints: the published one, and what is refused."""

from base64 import b64decode
from typing import Any

import pytest

from audit.domain.checkpoints import Checkpoint, parse_checkpoint, write_checkpoint
from audit.domain.errors import NoteInvalidError
from audit.domain.merkle import EMPTY_ROOT

# The example of C2SP tlog-checkpoint.
TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="


def test_the_published_checkpoint_is_read_and_written_back():
    found = parse_checkpoint(TEXT)

    assert found == Checkpoint(
        origin="example.com/behind-the-sofa", size=20852163, root=b64decode(ROOT)
    )
    assert write_checkpoint(found) == TEXT


def test_an_empty_log_and_extension_lines_come_back():
    for checkpoint in (
        Checkpoint(origin="a", size=0, root=EMPTY_ROOT),
        Checkpoint(origin="a b ü", size=2**63 - 1, root=bytes(32), extensions=("one", "two 2")),
    ):
        assert parse_checkpoint(write_checkpoint(checkpoint)) == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        TEXT[:-1],
        TEXT + "\n",
        "\n" + TEXT,
        f"o\n1\n\n{ROOT}\n",
        f"o\n{ROOT}\n",
        f"\n1\n{ROOT}\n",
        f"o\n\n{ROOT}\n",
        f"o\n01\n{ROOT}\n",
        f"o\n00\n{ROOT}\n",
        f"o\n-1\n{ROOT}\n",
        f"o\n+1\n{ROOT}\n",
        f"o\n1 \n{ROOT}\n",
        f"o\n1_0\n{ROOT}\n",
        f"o\n\u0661\n{ROOT}\n",
        f"o\n1e3\n{ROOT}\n",
        f"o\n{2**63}\n{ROOT}\n",
        f"o\n{'1' * 20}\n{ROOT}\n",
        f"o\n1\n{ROOT[:-1]}\n",
        f"o\n1\n{ROOT[4:]}\n",
        f"o\n1\n{ROOT[:-2]}J=\n",  # bits beyond the last byte
        f"o\n1\n{ROOT.replace('/', '_')}\n",
        f"o\n1\nAAAA{ROOT}\n",
        f"o\n1\n{ROOT}\n\nx\n",
        f"o\n1\n{ROOT}\nx",
    ],
)
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(NoteInvalidError):
        parse_checkpoint(text)


def test_a_checkpoint_that_would_not_be_one_line_each_is_a_bug():
    for broken in ({"origin": ""}, {"origin": "a\nb"}, {"extensions": ("",)}):
        fields: dict[str, Any] = {"origin": "o", "size": 1, "root": bytes(32), **broken}
        with pytest.raises(AssertionError):
            write_checkpoint(Checkpoint(**fields))
