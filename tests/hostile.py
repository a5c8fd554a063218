"""Definitions written to be slow, of up to 64 kB each. Read `CASES`.

Each looks for work that grows faster than the text: names compared with names, parts multiplied by
references, values checked against schemas, ways through steps and states, expressions in numbers.
"""

import json
import resource
import time
from collections.abc import Callable

from approvals.verbs import ApprovalVerb

BYTES = 64 * 1024

_HEAD = "schema: flow/v1\nkind: {kind}\nname: hostile\ntitle: Hostile\n"
_CALL = "uses: python/call@1, with: {function: release.scan}"


def _filled(head: str, line: Callable[[int], str], tail: str = "") -> str:
    """Return a text with as many lines as fit."""
    parts, size = [head], len((head + tail).encode())
    for number in range(BYTES):
        made = line(number)
        size += len(made.encode())
        if size > BYTES:
            break
        parts.append(made)
    return "".join(parts) + tail


def _dag(line: Callable[[int], str], *, before: str = "", after: str = "") -> str:
    return _filled(f"{_HEAD.format(kind='dag')}{before}steps:\n", line, after)


def _states(line: Callable[[int], str]) -> str:
    return _filled(f"{_HEAD.format(kind='states')}initial: s0\nstates:\n", line)


def _inputs(line: Callable[[int], str], *, before: str = "", after: str = "") -> str:
    """Return a definition whose inputs hold lines, indented by two."""
    tail = f"{after}steps: {{a: {{{_CALL}}}}}\n"
    return _filled(f"{_HEAD.format(kind='dag')}inputs:\n  type: object\n{before}", line, tail)


def _nested(opening: str, closing: str, *, depth: int, inner: str) -> str:
    return opening * depth + inner + closing * depth


def _expression(text: str) -> str:
    """Return a definition with one expression."""
    quoted = text.replace("'", "''")
    return _HEAD.format(kind="dag") + f"steps:\n  a: {{if: '{quoted}', {_CALL}}}\n"


def _many(text: str, count: int) -> str:
    return ", ".join([text] * count)


def _before(number: int, *, count: int = 1) -> str:
    """Return the list of the steps just before one."""
    return f"[{', '.join(f's{number - back}' for back in range(1, count + 1) if number >= back)}]"


def _widen(number: int) -> str:
    """Return a schema that refers twice to the next one."""
    after = number + 1
    return (
        f"    d{number}: {{allOf: [{{$ref: '#/$defs/d{after}'}}, {{$ref: '#/$defs/d{after}'}}]}}\n"
    )


def _texts() -> dict[str, str]:
    """Return what is hostile to whatever reads YAML."""
    return {
        "brackets": "[" * BYTES,
        "braces": "{a: " * (BYTES // 4),
        "dashes": "- " * (BYTES // 2),
        "questions": "? " * (BYTES // 2),
        "quotes": '"' * BYTES,
        "escapes": 'a: "' + "\\u0041" * (BYTES // 6 - 2) + '"',
        "folded": "a: >\n" + " x\n\n" * (BYTES // 4 - 2),
        "anchors": _filled("", lambda n: f"a{n}: &a{n} [*a{max(0, n - 1)}, *a{max(0, n - 1)}]\n"),
        "doubles": "a: 1\n" * (BYTES // 5),
        "keys": _filled("", lambda n: f"k{n}: 1\n"),
        "long key": "k" * (BYTES - 4) + ": 1",
        "huge number": "a: " + "9" * (BYTES - 4),
        "huge exponent": "a: 1e" + "9" * (BYTES - 8),
        "huge text": f'{_HEAD.format(kind="dag")}description: "{"é" * 30_000}"\n',
        "tabs": "a:\n" + "\t\n" * (BYTES // 2 - 2),
        "comments": "#" * BYTES,
        "documents": "---\n" * (BYTES // 4),
        "marks": "\ufeff" * (BYTES // 3),
        "astral": "a: " + "\U0001f600" * (BYTES // 4 - 1),
        "combining": "a: x" + "\u0301" * (BYTES // 2 - 4),
    }


def _graphs() -> dict[str, str]:
    """Return what is hostile to whatever walks steps and states."""
    return {
        "chain": _dag(lambda n: f"  s{n}: {{needs: {_before(n)}, {_CALL}}}\n"),
        "ladder": _dag(lambda n: f"  s{n}: {{needs: {_before(n, count=2)}, {_CALL}}}\n"),
        "layers": _dag(lambda n: f"  s{n}: {{needs: {_before(n - n % 30, count=30)}, {_CALL}}}\n"),
        "ring": _dag(
            lambda n: f"  s{n}: {{needs: [s{n + 1}], {_CALL}}}\n",
            after=f"  z: {{needs: [s0], {_CALL}}}\n",
        ),
        "unknown needs": _dag(lambda n: f"  step_{n}: {{needs: [stap_{n}], {_CALL}}}\n"),
        "unknown functions": _dag(
            lambda n: f"  s{n}: {{uses: python/call@1, with: {{function: release.skan{n}}}}}\n"
        ),
        "unknown keys": _dag(lambda n: f"  s{n}: {{usess: x, retri: 1, needz: []}}\n"),
        "unknown actions": _dag(lambda n: f"  s{n}: {{uses: xython/xall@{n}}}\n"),
        "steps that read steps": _dag(
            lambda n: (
                f"  s{n}: {{needs: {_before(n)}, {_CALL}, "
                f"if: \"{f'steps.s{n - 1}.outcome' if n else 'run.id'} == 'a'\"}}\n"
            )
        ),
        "steps that read the first": _dag(
            lambda n: (
                f"  s{n}: {{needs: {_before(n)}, {_CALL}, "
                f"if: \"{'steps.s0.outcome' if n else 'run.id'} == 'a{n}'\"}}\n"
            )
        ),
        "matrix": _dag(
            lambda n: (
                f"  s{n}: {{strategy: {{matrix: "
                f"{{{', '.join(f'a{k}: [1, 2]' for k in range(8))}}}}}, {_CALL}}}\n"
            )
        ),
        "matrix with exclusions": _dag(
            lambda n: f"      - {{a: {n % 16}, b: {n % 15}}}\n" if n < 256 else "",
            before="",
            after="",
        )
        .replace(
            "steps:\n",
            "steps:\n  s:\n    uses: python/call@1\n    with: {function: release.scan}\n"
            "    strategy:\n      matrix: "
            f"{{a: {list(range(16))}, b: {list(range(16))}}}\n      exclude:\n",
        )[: BYTES - 60]
        .rpartition("\n")[0]
        + "\n",
        "groups": _HEAD.format(kind="dag")
        + f"steps: {{s: {_nested('{steps: {s: ', '}}', depth=18, inner=f'{{{_CALL}}}')}}}\n",
        "wide groups": _dag(lambda n: f"  g{n}: {{steps: {{a: {{{_CALL}}}, b: {{{_CALL}}}}}}}\n"),
        "races": _dag(
            lambda n: f"  r{n}: {{race: [{{id: a, wait: {{timer: PT1S}}}}, {{id: b, {_CALL}}}]}}\n"
        ),
        "states in a row": _states(
            lambda n: f"  s{n}: {{{_CALL}, transitions: [{{on-success: true, to: s{n + 1}}}]}}\n"
        ),
        "states with ways everywhere": _states(
            lambda n: (
                f"  s{n}: {{wait: {{timer: PT1S}}, transitions: ["
                f"{', '.join(f'{{after: PT1S, to: s{k}}}' for k in range(60))}]}}\n"
            )
        ),
        "states that read states": _states(
            lambda n: (
                f"  s{n}: {{{_CALL}, transitions: [{{on-success: true, "
                f"if: \"steps.s{max(0, n - 1)}.outcome == 'a'\", to: s{n + 1}}}]}}\n"
            )
        ),
    }


def _schemas() -> dict[str, str]:
    """Return what is hostile to whatever checks a JSON Schema and its defaults."""
    return {
        "misspelt keywords": _inputs(lambda n: f"  xtype{n}: 1\n"),
        "long misspelt keywords": _inputs(lambda n: f"  {'minLengthminLength' * 40}{n}: 1\n"),
        "misspelt types": _inputs(
            lambda n: f"    p{n}: {{type: strin}}\n", before="  properties:\n"
        ),
        "patterns": _inputs(
            lambda n: f'    p{n}: {{pattern: "^(a+)+{n}$", default: "aaaaaaaaaaaaaa"}}\n',
            before="  properties:\n",
        ),
        "patterns of many classes": _inputs(
            lambda n: f"    p{n}: {{pattern: '\\pL{{{999 - n % 9}}}'}}\n", before="  properties:\n"
        ),
        "patterns that are too large": _inputs(
            lambda n: f"    p{n}: {{pattern: '\\pL{{199}}{n}{'[^a-z]{199}' * 9}'}}\n",
            before="  properties:\n",
        ),
        "large patterns": _inputs(
            lambda n: f'    p{n}: {{pattern: "((a{{1,99}}){{1,9}}){n}"}}\n',
            before="  properties:\n",
        ),
    }


def _defaults() -> dict[str, str]:
    """Return what is hostile to whatever checks values and references of a JSON Schema."""
    return {
        "defaults of one schema": _inputs(
            lambda n: f"    p{n}: {{$ref: '#/$defs/d', default: [1, 2, 3]}}\n",
            before=f"  $defs: {{d: {{allOf: [{_many('{items: {minimum: 0}}', 300)}]}}}}\n"
            "  properties:\n",
        ),
        "one default of many items": _inputs(
            lambda n: f"{n % 10}," if n < 12_000 else "#",
            before="  properties:\n    p:\n      items: {allOf: "
            f"[{_many('{minimum: 0}', 999)}]}}\n      default: [",
            after="0]\n",
        ).replace("#", ""),
        "one default against many values": _inputs(
            lambda n: "9," if n < 9_000 else "#",
            before=f"  properties:\n    p:\n      items: {{enum: {list(range(8_000))}}}\n"
            "      default: [",
            after="0]\n",
        ).replace("#", ""),
        "lists inside lists": _inputs(
            lambda n: "[[9,9,9],[9,9,9]]," if n < 1_500 else "#",
            before="  properties:\n    p:\n      items: {items: {items: {anyOf: "
            f"[{_many('{minimum: 10}', 900)}, true]}}}}}}\n      default: [",
            after="[]]\n",
        ).replace("#", ""),
        "contained": _inputs(
            lambda n: f"{n % 10}," if n < 12_000 else "#",
            before="  properties:\n    p:\n      allOf: "
            f"[{_many('{contains: {const: 11}, minContains: 0}', 500)}]\n      default: [",
            after="0]\n",
        ).replace("#", ""),
        "distinct items": _inputs(
            lambda n: f"[{n}],",
            before="  properties:\n    p:\n      uniqueItems: true\n      default: [",
            after="[]]\n",
        ),
        "enumerations": _inputs(
            lambda n: f"{n},",
            before="  properties:\n    p:\n      items: {enum: [1, 2, 3, 4, 5]}\n      default: [",
            after="0]\n",
        ),
    }


def _references() -> dict[str, str]:
    """Return what is hostile to whatever follows parts of a JSON Schema into others."""
    return {
        "references that widen": _inputs(
            _widen, before="  properties: {p: {$ref: '#/$defs/d0', default: 1}}\n  $defs:\n"
        ),
        "references in a row": _inputs(
            lambda n: f"    d{n}: {{$ref: '#/$defs/d{n + 1}'}}\n",
            before="  properties: {p: {$ref: '#/$defs/d0', default: 1}}\n  $defs:\n",
        ),
        "choices inside choices": _inputs(
            lambda _: "",
            before="  properties: {p: {default: 1, "
            + _nested("anyOf: [{type: string}, {", "}]", depth=17, inner="type: string")
            + "}}\n",
        ),
        "defaults inside defaults": _inputs(
            lambda _: "",
            before="  default: {}\n  properties: {p: "
            + _nested("{default: {}, properties: {p: ", "}}", depth=17, inner="{default: 1}")
            + "}\n",
        ),
        "required": _inputs(lambda n: f"x{n}, ", before="  required: [", after="x]\n"),
        "schemas of steps with classes": _dag(
            lambda n: (
                f"  s{n}: {{approval: {{title: t, form: {{type: object, properties: "
                f"{{a: {{pattern: '\\pL{{1,64}}{n}'}}}}}}, stages: [{{id: a, approvers: "
                f"{{groups: [g]}}}}], expires: {{after: PT1H, then: reject}}}}}}\n"
            )
        ),
        "schemas of steps": _dag(
            lambda n: (
                f"  s{n}: {{approval: {{title: t, form: {{type: object, properties: "
                f"{{a: {{type: string, pattern: 'a{n}'}}}}}}, stages: [{{id: a, approvers: "
                f"{{groups: [g]}}}}], expires: {{after: PT1H, then: reject}}}}}}\n"
            )
        ),
    }


def _expressions() -> dict[str, str]:
    """Return what is hostile to whatever reads and compiles expressions."""
    nested = "[1].all(x, " * 30 + "true" + ")" * 30
    return {
        "expressions": _dag(lambda n: f"  s{n}: {{if: '{n} < 1', {_CALL}}}\n"),
        "outputs": _filled(
            f"{_HEAD.format(kind='dag')}steps: {{a: {{{_CALL}}}}}\noutputs:\n",
            lambda n: f"  o{n}: {n}+1\n",
        ),
        "broken outputs": _filled(
            f"{_HEAD.format(kind='dag')}steps: {{a: {{{_CALL}}}}}\noutputs:\n",
            lambda n: f"  o{n}: {n}+\n",
        ),
        "unknown names": _filled(
            f"{_HEAD.format(kind='dag')}steps: {{a: {{{_CALL}}}}}\noutputs:\n",
            lambda n: f"  o{n}: input.x{n}\n",
        ),
        "templates": _filled(
            f"{_HEAD.format(kind='dag')}steps:\n  a:\n    uses: python/call@1\n    with:\n"
            "      function: release.scan\n      t: '",
            lambda n: f"${{{{{n}}}}}",
            "'\n",
        ),
        "open templates": _filled(
            f"{_HEAD.format(kind='dag')}steps:\n  a:\n    uses: python/call@1\n    with:\n"
            "      function: release.scan\n      t: '",
            lambda _: "${{",
            "'\n",
        ),
        "parentheses": _expression("(" * 1_999 + "1" + ")" * 1_999),
        "lists": _expression("[" * 1_999 + "]" * 1_999),
        "negations": _expression("!" * 3_990 + "true"),
        "minus": _expression("-" * 3_990 + "1"),
        "ternaries": _expression("true ? " * 400 + "1" + " : 1" * 290),
        "conjunctions": _expression(" && ".join(["a"] * 660)),
        "additions": _expression("+".join(["1"] * 1_990)),
        "selections": _expression("inputs" + ".a" * 1_990),
        "indices": _expression("inputs" + "[0]" * 1_300),
        "macros": _expression(nested),
        "macros of maps": _expression("[1].map(x, " * 60 + "[1]" + ")" * 60),
        "texts": _expression('"' + "a" * 3_900 + '" == ""'),
        "open text": _expression('"' + "a" * 3_900),
        "raw texts": _expression('r"""' * 900),
        "regular expression": _expression('"a".matches("' + "(a*)*" * 700 + '")'),
        "long": _expression("1 + " * 16_000 + "1"),
        "long in many": _dag(
            lambda n: f"  s{n}: {{if: '{' || '.join(['true'] * 400)} || {n} > 0', {_CALL}}}\n"
        ),
        "macros in many": _dag(
            lambda n: f"  s{n}: {{if: '{'[1].all(x, ' * 12}{n} > 0{')' * 12}', {_CALL}}}\n"
        ),
        "nested in many": _dag(
            lambda n: f"  s{n}: {{if: '{'(' * 150}{n} > 0{')' * 150}', {_CALL}}}\n"
        ),
        "stages": _filled(
            f"{_HEAD.format(kind='dag')}steps:\n  a:\n    approval:\n      title: t\n"
            "      expires: {after: PT1H, then: reject}\n"
            "      stages: [{id: a, approvers: {groups: [g]}}]\n"
            "      subject:\n",
            lambda n: f"        s{n}: '[1].map(x, x + {n})'\n",
        ),
        "exclusions": _filled(
            f"{_HEAD.format(kind='dag')}steps:\n  a:\n    approval:\n      title: t\n"
            "      expires: {after: PT1H, then: reject}\n"
            "      stages: [{id: a, approvers: {groups: [g]}}]\n"
            "      exclude:\n",
            lambda n: f'        - user.id == "{n}"\n',
        ),
    }


CASES: dict[str, str] = {
    **_texts(),
    **_graphs(),
    **_schemas(),
    **_defaults(),
    **_references(),
    **_expressions(),
}


def main() -> None:
    """Print what all of them take in this process: bytes of memory, and of each the seconds."""
    from tests.fakes.flow import compile_text  # noqa: PLC0415 - others only read the texts

    compile_text("a: 1")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds: dict[str, float] = {}
    for name, text in CASES.items():
        started = time.process_time()
        compile_text(text, verb=ApprovalVerb())
        seconds[name] = time.process_time() - started
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"kilobytes": grown, "seconds": seconds}))


if __name__ == "__main__":
    main()
