"""From text to JSON and positions: YAML 1.2, and a clear sentence for everything else."""

import json
import time

import pytest

from core.kernel import limits
from engine.domain.flow.loader import load
from engine.domain.flow.positions import Place, Places, pointer, split_pointer

N = limits.SOURCE_BYTES_MAX


def problem_of(source):
    problems = load(source).problems
    assert len(problems) == 1, problems
    return problems[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("# nothing\n", None),
        ("a: 1\nb: [x, {c: d}]\n", {"a": 1, "b": ["x", {"c": "d"}]}),
        ("on: yes\noff: no\ny: n", {"on": "yes", "off": "no", "y": "n"}),
        ("[true, True, FALSE, tRUE]", [True, True, False, "tRUE"]),
        ("[null, ~, Null, nULL]", [None, None, None, "nULL"]),
        ("a:", {"a": None}),
        ("[1, -2, +3, 0o17, 0x1F, 007]", [1, -2, 3, 15, 31, 7]),
        ("[1.5, .5, -1e3, 5.0, 1e-300, 1_000]", [1.5, 0.5, -1000, 5, 1e-300, "1_000"]),
        (
            "[2026-01-01, 2026-01-01T00:00:00Z, 12:30]",
            ["2026-01-01", "2026-01-01T00:00:00Z", "12:30"],
        ),
        ("[1.2.3, 0o9, 0xg, -0x1, .inf.]", ["1.2.3", "0o9", "0xg", "-0x1", ".inf."]),
        ("9007199254740991", 2**53 - 1),
        ("'1'", "1"),
        ('"\\x41\\/\\t"', "A/\t"),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("a: >-\n  x\n  y\n", {"a": "x y"}),
        ("\ufeffa: 1", {"a": 1}),
        (b"\xef\xbb\xbfa: \xc3\xa9", {"a": "é"}),
        ("a: 😀 1️⃣", {"a": "😀 1️⃣"}),
        ("%YAML 1.2\n---\na: 1\n...\n", {"a": 1}),
        ("'<<': 1\n'1': 2\n'': 3", {"<<": 1, "1": 2, "": 3}),
        ("? a\n: b", {"a": "b"}),
        ("title: a $${{ b }} # c", {"title": "a $${{ b }}"}),
        (
            '{\n\t"a": [1, 2.5, "x", null],\n\t"b": {"c": false}\n}',
            {"a": [1, 2.5, "x", None], "b": {"c": False}},
        ),
    ],
)
def test_a_definition_is_yaml_1_2(text, expected):
    loaded = load(text)

    assert loaded.problems == ()
    assert json.dumps(loaded.value) == json.dumps(expected)


@pytest.mark.parametrize(
    ("text", "code", "line", "column", "words"),
    [
        # --- syntax ---
        ("a: b: c", "syntax", 1, 5, "A `:` cannot stand here"),
        ("a: 1\n b: 2", "syntax", 2, 3, "A `:` cannot stand here"),
        ("a: 1\n\tb: 2", "syntax", 2, 1, "A tab cannot indent a line"),
        ("a:\n\t- b", "syntax", 2, 1, "A tab cannot indent a line"),
        ("a: @x", "syntax", 1, 4, "No value starts with `@`"),
        ("x: 1\na: 'b\nc: d", "syntax", 2, 4, "is not closed"),
        ('a: "b', "syntax", 1, 4, "is not closed"),
        ("x: 1\na: [1, 2", "syntax", 2, 4, "The `[` is not closed"),
        ("a: {b: 1\n\n", "syntax", 1, 4, "The `{` is not closed"),
        ("a: [1\nb: 2", "syntax", 2, 2, "A `,` or `]` is expected here, because `[` is in line 1."),
        (
            "a: {b: 1\nc: 2",
            "syntax",
            2,
            2,
            "A `,` or `}` is expected here, because `{` is in line 1.",
        ),
        ("- a\nb: c", "syntax", 2, 1, "A list item (`-`) is expected here"),
        ("a: -", "syntax", 1, 4, "start it on a line of its own"),
        ("a: 1\nb", "syntax", 2, 1, "This line has no `:`"),
        ("a: >5\n x", "syntax", 2, 2, "A key is expected here"),
        ("a: ]", "syntax", 1, 4, "A value is expected here"),
        ("é: ü\nx: [", "syntax", 2, 5, "A value is expected here"),
        ('a: "\\q"', "syntax", 1, 5, "There is no such escape"),
        ('a: "\\ud83d\\ude00"', "syntax", 1, 7, "The escape is no character"),
        ("a: ?", "syntax", 1, 4, "This is not YAML: mapping keys are not allowed"),
        ("a: 1\n...\nb", "syntax", 3, 1, "Nothing may follow the end"),
        ("%YAML 2.0\n---\na", "syntax", 1, 1, "incompatible YAML document"),
        # --- YAML that is not accepted ---
        ("a: 1\n---\nb: 1", "unsupported_yaml", 2, 1, "one document"),
        ("%YAML 1.1\n---\na: 1", "unsupported_yaml", 1, 1, "Directives"),
        ("a: &x 1", "unsupported_yaml", 1, 4, "Anchors (`&x`)"),
        ("a: *x", "unsupported_yaml", 1, 4, "Aliases (`*x`)"),
        ("a: !!str b", "unsupported_yaml", 1, 4, "Tags"),
        ("a: !x [b]", "unsupported_yaml", 1, 4, "Tags"),
        ("a:\n  <<: 1", "unsupported_yaml", 2, 3, "Merge keys"),
        # --- keys ---
        ("a: 1\nb: 2\na: 3", "duplicate_key", 3, 1, "The key `a` is already in line 1."),
        ("x: {a: 1, 'a': 2}", "duplicate_key", 1, 11, "already in line 1"),
        ("1: a", "bad_key", 1, 1, "`1` is not; put it between quotes"),
        ("true: a", "bad_key", 1, 1, "`true` is not"),
        ("null: a", "bad_key", 1, 1, "`null` is not"),
        (".inf: a", "bad_key", 1, 1, "`.inf` is not"),
        ("? \n: a", "bad_key", 1, 2, "A key is missing"),
        (": a", "syntax", 1, 1, "A key is expected here"),
        ("? [a]\n: b", "bad_key", 1, 3, "A key must be a text"),
        ('"a\\0": b', "bad_key", 1, 1, "holds controls"),
        (f"? {'a' * 1001}\n: b", "bad_key", 1, 3, "over 1000 characters"),
        # --- scalars ---
        ("a: .inf", "bad_scalar", 1, 4, "`.inf` is no number JSON can hold."),
        ("- -.INF", "bad_scalar", 1, 3, "is no number"),
        ("- .NaN", "bad_scalar", 1, 3, "is no number"),
        ("- 1e999", "bad_scalar", 1, 3, "The number is too large."),
        ("- 9007199254740992", "bad_scalar", 1, 3, "over 2^53-1"),
        ("- -1e22", "bad_scalar", 1, 3, "over 2^53-1"),
        ("- 0x20000000000000", "bad_scalar", 1, 3, "over 2^53-1"),
        (f"- 0x{'f' * 5000}", "bad_scalar", 1, 3, "over 2^53-1"),
        (f"- {'9' * 5000}", "bad_scalar", 1, 3, "over 400 digits"),
        ('- "a\\0"', "bad_scalar", 1, 3, "control character"),
        ('- "\\e[31m"', "bad_scalar", 1, 3, "control character"),
        # --- characters ---
        ("a: b\x01", "not_text", 1, 5, "U+0001"),
        ("a: b\r\nc: \u202ed", "not_text", 2, 4, "U+202E"),
        ("a: b\rc: \u2028d", "not_text", 2, 4, "U+2028"),
        ("a: \ud800", "not_text", 1, 4, "not UTF-8"),
        (b"a: b\nc: \xff", "not_text", 2, 4, "not UTF-8"),
        # --- limits ---
        ("x" * (N + 1), "too_large", 1, 1, "over 262144 bytes"),
        ("é" * (N // 2 + 1), "too_large", 1, 1, "over 262144 bytes"),
        ("[" * 41, "too_large", 1, 41, "over 40 levels"),
        ("- x\n" * 20_000, "too_large", 20_000, 3, "over 20000 values"),
    ],
)
def test_what_is_wrong_with_a_text_is_said_where_it_is(text, code, line, column, words):
    problem = problem_of(text)

    assert (problem.code, problem.line, problem.column) == (f"flow.{code}", line, column)
    assert words in problem.message
    assert problem.severity == "error"


def test_just_inside_the_limits_is_accepted():
    assert load("x" * N).problems == ()
    assert load("[" * 40 + "]" * 40).problems == ()
    assert load("- x\n" * 19_999).problems == ()


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a:\n  - {b: .inf}", "/a/0/b"),
        ("- - 1\n  - [2, .inf]", "/0/1/1"),
        ("a/b: {c~d: *x}", "/a~1b/c~0d"),
        (".inf", ""),
        ("a: {b: {1: 2}}", "/a/b/1"),
        ("a: [{? [x] : 1}]", "/a/0"),
    ],
)
def test_a_problem_names_its_path(text, path):
    assert problem_of(text).path == path


def test_all_problems_that_let_reading_go_on_are_found_at_once():
    problems = load("a: &x 1\na: 2\n1: *x\nb: [.inf, 'c\n").problems

    assert [(item.line, item.code) for item in problems] == [
        (1, "flow.unsupported_yaml"),
        (2, "flow.duplicate_key"),
        (3, "flow.bad_key"),
        (3, "flow.unsupported_yaml"),
        (4, "flow.bad_scalar"),
        (4, "flow.syntax"),
    ]


def test_a_key_that_is_an_alias_has_the_path_of_its_map():
    problems = load("a:\n - *x : 1").problems

    assert [(item.path, item.code) for item in problems] == [
        ("/a/0", "flow.unsupported_yaml"),
        ("/a/0", "flow.bad_key"),
    ]


def test_the_number_of_problems_is_bounded():
    problems = load("- .inf\n" * 1000).problems

    assert len(problems) == limits.PROBLEM_COUNT_MAX


def test_every_value_and_key_has_a_position():
    places = load("a:\n  b: [1,\n    {c: d}]\ne: |\n  text\n").places

    assert places.find("") == (1, 1)
    assert places.find("/a") == (2, 3)
    assert places.find("/a", key=True) == (1, 1)
    assert places.find("/a/b/0") == (2, 7)
    assert places.find("/a/b/1/c") == (3, 9)
    assert places.find("/a/b/1/c", key=True) == (3, 6)
    assert places.find("/a/b/1", key=True) == (3, 5)
    assert places.find("/e") == (4, 4)


def test_a_path_out_of_the_definition_has_the_position_of_what_exists():
    places = load("a:\n  b: 1").places

    assert places.find("/a/b/c/d") == (2, 6)
    assert places.find("/x/y") == (1, 1)
    assert Places().find("/x") == (1, 1)


def test_pointers_are_written_and_read_back():
    parts = ["a/b", "c~d", "", "~1", "0"]

    assert pointer(parts, base="/x") == "/x/a~1b/c~0d//~01/0"
    assert split_pointer(pointer(parts)) == parts
    assert split_pointer("") == []


def test_positions_take_memory_in_proportion_to_the_text():
    """Keys of many characters over many values would, as pointers, take their product."""
    source = f"? {'k' * 1000}\n: [" + "1," * 15_000 + "]"

    loaded = load(source)

    assert loaded.places.find(f"/{'k' * 1000}/14999") == (2, 4 + 2 * 14_999)
    assert isinstance(loaded.places.root, Place)


HOSTILE = {
    "brackets": "[" * N,
    "braces": "{a: " * N,
    "questions": "? " * N,
    "dashes": "- " * N,
    "items": "[" + "1," * N,
    "deep items": "[" * 39 + "a," * N,
    "keys": "".join(f"k{number}: v\n" for number in range(N // 6)),
    "quoted keys": '"a": 1\n' * N,
    "anchors": "[" + "&a 1," * N,
    "aliases": "[" + "*a," * N,
    "bombs": "a: &a [x]\n" + "".join(f"b{i}: &b{i} [*a,*a]\n" for i in range(5000)),
    "bad numbers": "[" + ".inf," * N,
    "digits": "1" * N,
    "long key": "a" * N + ": 1",
    "indent": "".join(" " * depth + "a:\n" for depth in range(700)),
    "escapes": '"' + "\\x41" * N + '"',
    "line breaks": '"' + "a\\\n" * N + '"',
    "block scalars": "- |\n" * N,
    "spaces": " " * N + "a",
    "comments": "#\n" * N,
    "directives": "%TAG !a! b\n" * N,
    "brackets in lines": ("[" * 1000 + "\n") * N,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_is_answered_quickly(name):
    source = HOSTILE[name][:N]
    start = time.process_time()

    load(source)

    assert time.process_time() - start < 3  # measured 0.14 s
