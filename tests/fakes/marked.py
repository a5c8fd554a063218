"""Definitions in which `»` stands before the character a problem must point at."""

from tests.fakes.flow import compile_text


def unmarked(source):
    """Return a source without its mark, and the line and column the mark was at."""
    before = source.split("»")[0]
    lines = before.split("\n")
    return source.replace("»", ""), len(lines), len(lines[-1]) + 1


def assert_problem(source, *, code, path, words, severity="error"):
    """Check that a definition has one problem: what it is, where, and words of its message."""
    text, line, column = unmarked(source)

    problems = compile_text(text).problems

    found = [(item.code, item.path, item.line, item.column, item.severity) for item in problems]
    wanted = (code if "." in code else f"flow.{code}", path, line, column, severity)
    assert found == [wanted], problems
    assert words in problems[0].message, problems[0].message
