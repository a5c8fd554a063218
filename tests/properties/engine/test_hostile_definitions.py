"""Whatever somebody sends as a definition: it is answered, soon, and in little memory."""

import json
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.verbs import ApprovalVerb
from core.kernel import limits
from core.settings.env import BASE_DIR
from tests.fakes.flow import DATA, EVALUATOR, compile_text
from tests.hostile import BYTES, CASES

# Of this process, so that a busy machine is no finding.
CPU_SECONDS_MAX = 1.0
KILOBYTES_MAX = 200 * 1024

FILES = sorted(
    path
    for folder in (DATA, DATA / "examples", DATA / "originals", DATA / "hostile")
    for path in folder.glob("*.yaml")
)
REAL = [
    *(path.read_text(encoding="utf-8") for path in FILES if path.parent.name != "hostile"),
    (BASE_DIR / "examples/release/workflow.yaml").read_text(encoding="utf-8"),
]
PIECES = [
    *(
        "{",
        "}",
        "[",
        "]",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "\t",
        "#",
        "&a ",
        "*a ",
        "!!str ",
        "|\n",
        ">\n",
    ),
    *(
        "'",
        '"',
        "\\",
        "${{",
        "}}",
        "$${{",
        "<<: ",
        "? ",
        "---\n",
        "%YAML 1.1\n",
        "~",
        "null",
        "1e999",
    ),
    *(
        "steps",
        "needs: [a]",
        "if: 'true'",
        "uses: x@1",
        "0x1F",
        "1_000",
        "\ufeff",
        "\u2028",
        "\u202e",
    ),
    *("é", "\U0001f600", "\u0301" * 9, "a" * 1_001, "9" * 400, "(" * 200, "[" * 45, "{a: " * 45),
    *(
        "pattern: '(a*)*b'",
        "$ref: '#'",
        "$ref: '#/$defs/x'",
        "default: []",
        "enum: []",
        "anyOf: [{}]",
    ),
]


def judge(source):
    """Compile a text, and hold what must hold for any."""
    found, took = measure(source)
    for _ in range(2):  # processor time grows too where others use the same cores
        if took >= CPU_SECONDS_MAX:
            took = min(took, measure(source)[1])

    assert took < CPU_SECONDS_MAX, f"{took:.2f} s for {source[:200]!r} …"
    assert len(found.problems) <= limits.PROBLEM_COUNT_MAX
    errors = [item for item in found.problems if item.severity == "error"]
    assert (found.plan is None) == bool(errors)


def measure(source):
    """Return what compiling gives, nothing kept from before, and the seconds it took."""
    EVALUATOR._program.cache_clear()
    started = time.process_time()
    found = compile_text(source, verb=ApprovalVerb())
    return found, time.process_time() - started


@pytest.mark.parametrize("name", CASES)
def test_a_text_written_to_be_slow_is_answered_soon(name):
    assert len(CASES[name].encode()) <= BYTES
    judge(CASES[name])


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_text_that_once_was_trouble_is_answered_soon(path):
    judge(path.read_bytes())


def test_all_of_them_fit_into_little_memory():
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile"],
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kilobytes"] < KILOBYTES_MAX


@settings(max_examples=150)
@given(source=st.binary(max_size=4_000))
def test_any_bytes_are_answered(source):
    judge(source)


@settings(max_examples=150)
@given(source=st.text(max_size=2_000) | st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_any_text_is_answered(source):
    judge(source)


@settings(max_examples=150)
@given(data=st.data())
def test_a_real_definition_that_somebody_spoilt_is_answered(data):
    text = data.draw(st.sampled_from(REAL))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 40)))
        piece = data.draw(st.sampled_from(PIECES) | st.text(max_size=20))
        times = data.draw(st.sampled_from([1, 1, 1, 3, 50, 500]))
        text = (text[:start] + piece * times + text[end:])[: BYTES // 4]

    judge(text)
