"""What is wrong with calls, waits, groups, races, repetitions and gates, and where.

In the sources below `»` stands before the character a problem must point at and is taken out.
"""

# ruff: noqa: E501 - one case is one line

import pytest

from core.kernel import limits
from engine.actions import external_task
from tests.fakes.flow import SmallVerb, compile_text, compile_with
from tests.fakes.marked import assert_problem

HEAD = "schema: flow/v1\nkind: dag\nname: x\ninputs: {type: object, properties: {ref: {}, hosts: {}}}\nvars: {round: 0}\nsteps:\n"
GET = "uses: http/request@1, with: {method: GET, url: u}"
A = f"  a: {{{GET}}}\n"
B = f"  b: {{{GET}}}\n"
G = "  g: {approval: {limit: 1}}\n"
EVENT = "event: {type: a.b, correlate: {}}"


def problems_of(text):
    return compile_text(HEAD + text).problems


# fmt: off
MISTAKES = [
    # --- verbs beside each other ---
    (f"  »s: {{{GET}, wait: {{timer: PT1M}}}}\n", "one_verb", "/steps/s", "`s` has `uses` and `wait`, and only one can be."),
    ("  s: {steps: {»inner: {}}}\n", "one_verb", "/steps/s/steps/inner", "`inner` needs one of"),
    # --- modifiers on the wrong verb ---
    *((f"  s: {{wait: {{timer: PT1M}}, »{key}: {value}}}\n", "misplaced_key", f"/steps/s/{key}", f"`{key}` goes only with `uses`.") for key, value in [
        ("retry", "{max: 1}"), ("heartbeat", "PT5S"), ("queue", "q"), ("delivery", "at-most-once"), ("lazy", "true"),
        ("rate", "{key: k, limit: 1, per: PT1S}"), ("cache", "{key: k, ttl: PT1S}"), ("circuit", "{key: k, failures: 1, window: PT1S, cool-down: PT1S}"),
    ]),
    *((f"  s: {{approval: {{limit: 1}}, »{key}: {value}}}\n", "misplaced_key", f"/steps/s/{key}", f"`{key}` does not go with `approval`.") for key, value in [
        ("loop", "{until: 'true', max-iterations: 1}"), ("timeout", "PT1H"), ("mutex", "m"), ("effect", "e"), ("compensate", f"{{{GET}}}"), ("on-error", "{then: ask}"),
    ]),
    ("  s: {wait: {timer: PT1M}, »with: {}}\n", "misplaced_key", "/steps/s/with", "`with` goes only with `uses` or `call`."),
    (f"  s: {{{GET}, »detached: true}}\n", "misplaced_key", "/steps/s/detached", "`detached` goes only with `call`."),
    (f"  s: {{race: [{{id: y, {GET}}}, {{id: z, {GET}}}], »outputs: {{a: result}}}}\n", "misplaced_key", "/steps/s/outputs", "`outputs` does not go with `race`."),
    (f"  s: {{{GET}, »map: {{items: inputs.hosts}}, strategy: {{matrix: {{p: [1]}}}}}}\n", "misplaced_key", "/steps/s/map", "`map` does not go with `strategy`."),
    (f"  s: {{race: [{{id: y, {GET}}}, {{id: z, {GET}, »needs: [y]}}]}}\n", "unknown_key", "/steps/s/race/1/needs", "There is no key `needs`"),
    # --- waits ---
    ("  s: {»wait: {}}\n", "one_verb", "/steps/s/wait", "`wait` needs one of `timer`, `until` or `event`."),
    ("  s: {»wait: {timer: PT1M, until: run.id}}\n", "one_verb", "/steps/s/wait", "`timer` and `until`"),
    ("  s: {wait: {timer: »1 hour}}\n", "bad_duration", "/steps/s/wait/timer", "must be an ISO 8601 duration such as `PT15M`, not `1 hour`."),
    ("  s: {wait: {timer: »PT0S}}\n", "bad_duration", "/steps/s/wait/timer", "A wait is over zero and at most P3660D."),
    ("  s: {wait: {timer: »P9999D}}\n", "bad_duration", "/steps/s/wait/timer", "at most P3660D"),
    ("  s: {wait: {timer: »'${{ inputs.rf'}}\n", "bad_expression", "/steps/s/wait/timer", "is not closed"),
    ("  s: {wait: {until: »vars.rond}}\n", "unknown_field", "/steps/s/wait/until", "Did you mean `round`?"),
    ("  s: {wait: {»event: {type: a.b}}}\n", "missing_key", "/steps/s/wait/event", "The key `correlate` is missing in `event`, so that one event cannot move every run by accident; `correlate: {}` says on purpose that any will do."),
    ("  s: {wait: {event: {type: »'a b', correlate: {}}}}\n", "wrong_value", "/steps/s/wait/event/type", "letters and digits"),
    ("  s: {wait: {event: {type: a.b, correlate: {»a.b: run.id}}}}\n", "wrong_value", "/steps/s/wait/event/correlate/a.b", "The name `a.b` must be"),
    ("  s: {wait: {event: {type: a.b, correlate: {id: »event.id}}}}\n", "unknown_field", "/steps/s/wait/event/correlate/id", "brings an `event`"),
    ("  s: {wait: {event: {type: a.b, correlate: {id: »runs.id}}}}\n", "bad_expression", "/steps/s/wait/event/correlate/id", "Did you mean `run`?"),
    # --- emit, set ---
    ("  s: {emit: {type: »'a b'}}\n", "wrong_value", "/steps/s/emit/type", "`type` must be letters and digits"),
    ("  s: {emit: {type: »'a.${{ x }}'}}\n", "bad_expression", "/steps/s/emit/type", "nothing called 'x'"),
    ("  s: {emit: {type: a, data: {x: [»'${{ x }}']}}}\n", "bad_expression", "/steps/s/emit/data/x/0", "nothing called 'x'"),
    ("  s: {»emit: {}}\n", "missing_key", "/steps/s/emit", "`type` is missing"),
    ("  s: {set: {»rund: '1'}}\n", "unknown_field", "/steps/s/set/rund", "`vars` does not declare `rund`, so it cannot be set. Did you mean `round`?"),
    ("  s: {set: {round: »vars.rond}}\n", "unknown_field", "/steps/s/set/round", "There is no `vars.rond`."),
    ("  s: {set: »{}}\n", "wrong_value", "/steps/s/set", "at least 1 key"),
    # --- call ---
    ("  s: {call: »child}\n", "wrong_value", "/steps/s/call", "a workflow and a range of versions, such as `remediate@^1`"),
    ("  s: {call: »child@latest}\n", "wrong_value", "/steps/s/call", "a range of versions"),
    ("  s: {call: child@1, with: {a: »'${{ x }}'}}\n", "bad_expression", "/steps/s/with/a", "nothing called 'x'"),
    ("  s: {call: »x@^1}\n", "endless_call", "/steps/s/call", "would call itself without end"),
    ("  s: {call: »x@^1, detached: true}\n", "endless_call", "/steps/s/call", "would call itself without end"),
    (f"{A}  s: {{needs: [a], steps: {{inner: {{call: »x@^1}}}}}}\n", "endless_call", "/steps/s/steps/inner/call", "would call itself"),
    ("  s: {loop: {until: 'false', max-iterations: 2}, call: »x@^1}\n", "endless_call", "/steps/s/call", "would call itself"),
    # --- needs and joins ---
    (f"{A}  s: {{{GET}, needs: [a], join: »{{count: 2}}}}\n", "bad_join", "/steps/s/join", "2 needs shall end well, and there are only 1."),
    (f"{A}  s: {{{GET}, join: »any}}\n", "bad_join", "/steps/s/join", "`needs` names nothing that could end well"),
    (f"{A}  s: {{{GET}, needs: [], join: »{{count: 1}}}}\n", "bad_join", "/steps/s/join", "It can never start"),
    (f"{A}  s: {{{GET}, needs: [a], join: {{count: »0}}}}\n", "wrong_value", "/steps/s/join/count", "must be 1 to 10000"),
    (f"{A}  s: {{approval: {{limit: 1}}, needs: [a], join: »any}}\n", "misplaced_key", "/steps/s/join", "An approval always waits for all"),
    (f"{A}  s: {{steps: {{inner: {{{GET}, needs: [»a]}}}}}}\n", "unknown_need", "/steps/s/steps/inner/needs/0", "`a` is not on the level of `inner`"),
    (f"  g: {{steps: {{inner: {{{GET}}}}}}}\n  s: {{{GET}, needs: [»inner]}}\n", "unknown_need", "/steps/s/needs/0", "`inner` is not on the level of `s`"),
    (f"  g: {{steps: {{y: {{{GET}, needs: [»z]}}, z: {{{GET}, needs: [y]}}}}}}\n", "cyclic_needs", "/steps/g/steps/y/needs/0", "`y` → `z` → `y`"),
    # --- ids ---
    (f"  s: {{steps: {{»s: {{{GET}}}}}}}\n", "duplicate_id", "/steps/s/steps/s", "There is a `s` in line 7 already"),
    (f"{A}  s: {{steps: {{»a: {{{GET}}}}}}}\n", "duplicate_id", "/steps/s/steps/a", "There is a `a` in line 7 already"),
    (f"  s: {{race: [{{id: y, {GET}}}, {{id: »y, wait: {{timer: PT1M}}}}]}}\n", "duplicate_id", "/steps/s/race/1/id", "an id is there once"),
    (f"  »item: {{{GET}}}\n", "wrong_value", "/steps/item", "not `item`, `cell`, `turn` or `event`, which runs use themselves"),
    (f"  »event: {{{GET}}}\n", "wrong_value", "/steps/event", "which runs use themselves"),
    (f"  s: {{race: [{{id: y, {GET}}}, {{id: »turn, {GET}}}]}}\n", "wrong_value", "/steps/s/race/1/id", "not `item`, `cell`, `turn` or `event`"),
    (f"  s: {{race: [{{id: y, {GET}}}, »{{{GET}}}]}}\n", "missing_key", "/steps/s/race/1", "`id` is missing"),
    (f"  s: {{race: »[{{id: y, {GET}}}]}}\n", "wrong_value", "/steps/s/race", "2 to 20 items"),
    # --- what is seen from where ---
    (f"  g: {{steps: {{inner: {{{GET}}}}}}}\n  s: {{{GET}, needs: [g], if: »steps.inner.outcome == ''}}\n", "not_upstream", "/steps/s/if", "`inner` is inside `g` and is not seen from here; let `g` put it out."),
    (f"  g: {{steps: {{inner: {{{GET}, if: »steps.g.outcome == ''}}}}}}\n", "not_upstream", "/steps/g/steps/inner/if", "`g` holds this, so it has not ended here."),
    (f"{A}  g: {{steps: {{inner: {{{GET}, if: »steps.a.outcome == ''}}}}}}\n", "not_upstream", "/steps/g/steps/inner/if", "`a` need not have ended when `g` starts; add it to `needs`."),
    (f"  g: {{steps: {{inner: {{{GET}}}, other: {{{GET}, if: »steps.inner.outcome == ''}}}}}}\n", "not_upstream", "/steps/g/steps/other/if", "`inner` need not have ended when `other` starts"),
    (f"  s: {{race: [{{id: y, {GET}}}, {{id: z, wait: {{until: »steps.y.outputs.result}}}}]}}\n", "not_upstream", "/steps/s/race/1/wait/until", "The branches of a race do not see each other"),
    (f"  s: {{race: [{{id: y, {GET}}}, {{id: z, {GET}}}]}}\n  t: {{{GET}, needs: [s], if: »steps.y.outcome == ''}}\n", "not_upstream", "/steps/t/if", "`y` is inside `s`"),
    (f"  g: {{steps: {{inner: {{{GET}}}}}, outputs: {{x: »steps.g.outcome}}}}\n", "not_upstream", "/steps/g/outputs/x", "`g` holds this"),
    (f"  g: {{steps: {{inner: {{{GET}}}}}}}\n  s: {{{GET}, needs: [g], if: »steps.g.outputs.x == 1}}\n", "unknown_field", "/steps/s/if", "There is no `steps.g.outputs.x`, because it has no `outputs`."),
    (f"  g: {{steps: {{inner: {{{GET}}}}}, outputs: {{code: steps.inner.outputs.result}}}}\n  s: {{{GET}, needs: [g], if: »steps.g.outputs.cod == 1}}\n", "unknown_field", "/steps/s/if", "only `code`. Did you mean `code`?"),
    (f"  r: {{race: [{{id: y, {GET}}}, {{id: z, {GET}}}]}}\n  s: {{{GET}, needs: [r], if: »steps.r.outputs.result == 1}}\n", "unknown_field", "/steps/s/if", "only `winner`, `event` or `outputs`"),
    (f"  m: {{{GET}, map: {{items: inputs.hosts}}, outputs: {{a: result}}}}\n  s: {{{GET}, needs: [m], if: »steps.m.outputs.a == 1}}\n", "unknown_field", "/steps/s/if", "only `items` or `failed`"),
    (f"  m: {{{GET}, map: {{items: inputs.hosts}}, compensate: {{uses: http/request@1, with: {{method: GET, url: »'${{{{ steps.m.outputs.items }}}}'}}}}}}\n", "unknown_field", "/steps/m/compensate/with/url", "only `result`"),
    # --- names ---
    (f"  s: {{{GET}, if: »matrix.a == 1}}\n", "bad_expression", "/steps/s/if", "`matrix` is there only in a step with `strategy`"),
    (f"  s: {{{GET}, strategy: {{matrix: {{a: [1]}}}}, if: »matrix.a == 1}}\n", "bad_expression", "/steps/s/if", "`matrix` is there only in a step with `strategy`"),
    ("  s: {uses: http/request@1, with: {method: GET, url: »'${{ matrix.b }}'}, strategy: {matrix: {a: [1]}}}\n", "unknown_field", "/steps/s/with/url", "There is no `matrix.b`."),
    (f"  s: {{strategy: {{matrix: {{abc: [1]}}}}, steps: {{i: {{{GET}, if: »matrix.abd == 1}}}}}}\n", "unknown_field", "/steps/s/steps/i/if", "Did you mean `abc`?"),
    (f"  s: {{{GET}, map: {{items: inputs.hosts, as: host}}, mutex: »'${{{{ host }}}}'}}\n", "bad_expression", "/steps/s/mutex", "nothing called 'host'"),
    (f"  s: {{{GET}, map: {{items: »'host', as: host}}}}\n", "bad_expression", "/steps/s/map/items", "nothing called 'host'"),
    (f"  s: {{{GET}, if: »result == 1}}\n", "bad_expression", "/steps/s/if", "`result` is there only in `outputs`, `until` and `while`."),
    *((f"  s: {{{GET}, map: {{items: inputs.hosts, as: »{name}}}}}\n", "bad_name", "/steps/s/map/as", "means something else") for name in ("inputs", "vars", "steps", "run", "result", "event", "matrix", "user", "subject", "secrets")),
    *((f"  s: {{{GET}, map: {{items: inputs.hosts, as: »{name}}}}}\n", "bad_name", "/steps/s/map/as", "is a word of CEL") for name in ("int", "list", "loop", "as", "type")),
    (f"  s: {{{GET}, map: {{items: inputs.hosts, as: »'a b'}}}}\n", "wrong_value", "/steps/s/map/as", "a letter or `_`"),
    (f"  s: {{map: {{items: inputs.hosts, as: host}}, steps: {{i: {{{GET}, map: {{items: inputs.hosts, as: »host}}}}}}}}\n", "bad_name", "/steps/s/steps/i/map/as", "A map around this one calls its item `host` too"),
    (f"  s: {{map: {{items: inputs.hosts}}, steps: {{i: {{{GET}, »map: {{items: inputs.hosts}}}}}}}}\n".replace("»map: ", "map: »"), "bad_name", "/steps/s/steps/i/map", "calls its item `item` too"),
    (f"  s: {{strategy: {{matrix: {{a: [1]}}}}, steps: {{i: {{{GET}, »strategy: {{matrix: {{b: [1]}}}}}}}}}}\n", "bad_name", "/steps/s/steps/i/strategy", "There is a `strategy` around this one"),
    # --- map, strategy, loop ---
    (f"  s: {{{GET}, »map: {{as: host}}}}\n", "missing_key", "/steps/s/map", "`items` is missing"),
    (f"  s: {{{GET}, map: {{items: inputs.hosts, tolerate-failures: »-1}}}}\n", "wrong_value", "/steps/s/map/tolerate-failures", "0 to 10000"),
    (f"  s: {{{GET}, map: {{items: inputs.hosts, tolerate-failures: »1.5}}}}\n", "wrong_type", "/steps/s/map/tolerate-failures", "must be a whole number or a map"),
    (f"  s: {{{GET}, map: {{items: inputs.hosts, tolerate-failures: {{percent: »101}}}}}}\n", "wrong_value", "/steps/s/map/tolerate-failures/percent", "0 to 100"),
    (f"  s: {{{GET}, map: {{items: inputs.hosts, tolerate-failures: »{{count: 1, percent: 1}}}}}}\n", "wrong_value", "/steps/s/map/tolerate-failures", "exactly 1 key"),
    (f"  s: {{{GET}, map: {{items: inputs.hosts, max-concurrency: »0}}}}\n", "wrong_value", "/steps/s/map/max-concurrency", "1 to 10000"),
    (f"  s: {{{GET}, strategy: {{matrix: »{{}}}}}}\n", "wrong_value", "/steps/s/strategy/matrix", "1 to 8 keys"),
    (f"  s: {{{GET}, strategy: {{matrix: {{a: »[]}}}}}}\n", "wrong_value", "/steps/s/strategy/matrix/a", "1 to 256 items"),
    (f"  s: {{{GET}, strategy: {{matrix: {{a: »5}}}}}}\n", "wrong_type", "/steps/s/strategy/matrix/a", "must be a list or a text"),
    (f"  s: {{{GET}, strategy: {{matrix: {{a: »'x ${{{{ inputs.hosts }}}}'}}}}}}\n", "bad_matrix", "/steps/s/strategy/matrix/a", "one `${{ … }}` whose value is a list"),
    (f"  s: {{{GET}, strategy: {{matrix: {{a: »'${{{{ inputs.hosts'}}}}}}\n", "bad_expression", "/steps/s/strategy/matrix/a", "is not closed"),
    (f"  s: {{{GET}, strategy: {{matrix: {{abc: [1, 2]}}, exclude: [{{»abd: 1}}]}}}}\n", "bad_matrix", "/steps/s/strategy/exclude/0/abd", "`matrix` has no `abd`. Did you mean `abc`?"),
    (f"  s: {{{GET}, strategy: {{matrix: {{a: [1]}}, exclude: »[{{a: 1}}]}}}}\n", "bad_matrix", "/steps/s/strategy/exclude", "leaves out every combination"),
    (f"  s: {{{GET}, strategy: {{matrix: »{{a: {list(range(20))}, b: {list(range(20))}}}}}}}\n", "bad_matrix", "/steps/s/strategy/matrix", "These are 400 combinations; at most 256 are done."),
    (f"  s: {{{GET}, strategy: {{matrix: {{a: [1, 2]}}, exclude: [{{a: 2}}], join: {{count: »2}}}}}}\n", "bad_join", "/steps/s/strategy/join/count", "there are only 1 combinations"),
    (f"  s: {{{GET}, »loop: {{max-iterations: 5}}}}\n", "one_verb", "/steps/s/loop", "`loop` needs one of `until` or `while`."),
    (f"  s: {{{GET}, »loop: {{until: 'true'}}}}\n", "missing_key", "/steps/s/loop", "`max-iterations` is missing"),
    (f"  s: {{{GET}, loop: {{until: 'true', max-iterations: »10001}}}}\n", "wrong_value", "/steps/s/loop/max-iterations", "1 to 10000"),
    (f"  s: {{{GET}, loop: {{until: »'1', max-iterations: 1}}}}\n", "bad_expression", "/steps/s/loop/until", "never true or false"),
    (f"  s: {{{GET}, loop: {{while: »steps.s.outcome == '', max-iterations: 1}}}}\n", "not_upstream", "/steps/s/loop/while", "`s` cannot read itself"),
    (f"  s: {{{GET}, loop: {{until: 'true', max-iterations: 1, delay: »P999D}}}}\n", "bad_duration", "/steps/s/loop/delay", "A delay is over zero and at most P366D."),
    # --- time ---
    ("  s: {wait: {timer: PT5M}, timeout: {»attempt: PT1M}}\n", "misplaced_key", "/steps/s/timeout/attempt", "Only `uses` makes attempts"),
    (f"  s: {{{GET}, timeout: {{attempt: PT2M, total: »PT1M}}}}\n", "bad_duration", "/steps/s/timeout/total", "`total` is shorter than `attempt`."),
    (f"  s: {{{GET}, timeout: {{attempt: »P2D}}}}\n", "bad_duration", "/steps/s/timeout/attempt", "at most P1D"),
    (f"  s: {{{GET}, timeout: {{total: »PT0S}}}}\n", "bad_duration", "/steps/s/timeout/total", "over zero and at most P3660D"),
    ("  s: {wait: {timer: PT5M}, timeout: »P9999D}\n", "bad_duration", "/steps/s/timeout", "at most P3660D"),
    (f"  s: {{{GET}, timeout: »{{}}}}\n", "wrong_value", "/steps/s/timeout", "at least 1 key"),
    (f"  s: {{{GET}, timeout: PT1M, heartbeat: »PT1M}}\n", "bad_duration", "/steps/s/heartbeat", "shorter than the attempt's `timeout`"),
    (f"  s: {{{GET}, heartbeat: »PT0.5S}}\n", "bad_duration", "/steps/s/heartbeat", "A heartbeat is at least PT1S and at most P1D."),
    # --- gates ---
    (f"  s: {{{GET}, rate: {{key: »'${{{{ x }}}}', limit: 1, per: PT1M}}}}\n", "bad_expression", "/steps/s/rate/key", "nothing called 'x'"),
    (f"  s: {{{GET}, rate: {{key: k, limit: 1, per: »P2D}}}}\n", "bad_duration", "/steps/s/rate/per", "`per` is over zero and at most P1D."),
    (f"  s: {{{GET}, rate: {{key: k, limit: »0, per: PT1M}}}}\n", "wrong_value", "/steps/s/rate/limit", "1 to 1000000"),
    (f"  s: {{{GET}, »rate: {{key: k, limit: 1}}}}\n", "missing_key", "/steps/s/rate", "`per` is missing in `rate`"),
    (f"  s: {{{GET}, circuit: {{key: k, failures: 1, window: »PT0S, cool-down: PT1M}}}}\n", "bad_duration", "/steps/s/circuit/window", "over zero"),
    (f"  s: {{{GET}, circuit: {{key: k, failures: 1, window: PT1S, cool-down: »P9D}}}}\n", "bad_duration", "/steps/s/circuit/cool-down", "at most P1D"),
    (f"  s: {{{GET}, cache: {{key: k, ttl: »P367D}}}}\n", "bad_duration", "/steps/s/cache/ttl", "at most P366D"),
    (f"  s: {{{GET}, mutex: »' '}}\n", "wrong_value", "/steps/s/mutex", "a text that is not empty"),
    (f"  s: {{{GET}, priority: »10}}\n", "wrong_value", "/steps/s/priority", "0 to 9"),
    (f"  s: {{{GET}, queue: »GPU}}\n", "wrong_value", "/steps/s/queue", "a lower-case letter"),
    (f"  s: {{{GET}, delivery: »once}}\n", "wrong_value", "/steps/s/delivery", "`at-least-once` or `at-most-once`"),
    ("  s: {uses: python/call@1, with: {function: release.scan}, lazy: »true}\n", "not_repeatable", "/steps/s/lazy", "`python/call@1` is neither idempotent nor pure"),
    (f"  s: {{{GET}, delivery: at-most-once, »lazy: true}}\n", "misplaced_key", "/steps/s/lazy", "`at-most-once` rules out"),
    (f"  s: {{{GET}, queue: gpu, »lazy: true}}\n", "misplaced_key", "/steps/s/lazy", "has no `queue`"),
    # --- undoing ---
    (f"  g: {{steps: {{inner: {{{GET}, compensate: {{{GET}}}}}}}}}\n  s: {{{GET}, on-error: {{compensate: [»inner]}}}}\n", "unknown_step", "/steps/s/on-error/compensate/0", "`inner` is inside `g` and not seen from here; `s` cannot undo it."),
    (f"  g: {{steps: {{inner: {{{GET}}}}}, on-error: {{compensate: [»inner]}}}}\n", "bad_compensation", "/steps/g/on-error/compensate/0", "`inner` has no `compensate`"),
    # --- decisions that would be passed over ---
    (f"{G}  s: {{needs: [g], join: »all-settled, wait: {{timer: PT1M}}}}\n", "unread_outcome", "/steps/s/join", "reads `steps.g.outcome`"),
    (f"  g: {{steps: {{inner: {{approval: {{limit: 1}}}}}}}}\n  s: {{{GET}, needs: [g], join: »all-settled}}\n", "unread_outcome", "/steps/s/join", "whatever `g` decides"),
    (f"  g: {{approval: {{limit: 1}}, map: {{items: inputs.hosts}}}}\n  s: {{{GET}, needs: [g], join: »all-settled}}\n", "unread_outcome", "/steps/s/join", "whatever `g` decides"),
    (f"  r: {{race: [{{id: y, approval: {{limit: 1}}}}, {{id: z, wait: {{timer: PT1M}}}}]}}\n  s: {{{GET}, needs: [»r]}}\n", "unread_outcome", "/steps/s/needs/0", "reads `steps.r.outputs.winner`"),
    ("  r: {race: [{id: y, approval: {limit: 1}}, {id: z, wait: {timer: PT1M}}]}\n  s: {emit: {type: a}, needs: [»r], if: steps.r.outcome == 'approved'}\n", "unread_outcome", "/steps/s/needs/0", "may be won without it"),
    (f"  r: {{race: [{{id: y, steps: {{deep: {{approval: {{limit: 1}}}}}}}}, {{id: z, wait: {{timer: PT1M}}}}]}}\n  s: {{{GET}, needs: [»r]}}\n", "unread_outcome", "/steps/s/needs/0", "holds an approval"),
]
DOUBTS = [
    ("  s: {if: inputs.ref == '', call: »x@^1}\n", "recursion", "/steps/s/call", f"after {limits.CALL_DEPTH_MAX} runs inside each other"),
    ("  s: {map: {items: inputs.hosts}, call: »x@^1}\n", "recursion", "/steps/s/call", "calls itself"),
    (f"{A}  y: {{{GET}, needs: [a], if: run.id == ''}}\n  s: {{needs: [y], call: »x@^1}}\n", "recursion", "/steps/s/call", "calls itself"),
    ("  s: {steps: {i: {loop: {while: result == null, max-iterations: 2}, call: »x@^1}}}\n", "recursion", "/steps/s/steps/i/call", "calls itself"),
    ("  s: {race: [{id: y, call: »x@^1}, {id: z, wait: {timer: PT1M}}]}\n", "recursion", "/steps/s/race/0/call", "calls itself"),
    ("  g: {approval: {limit: 1}}\n  s: {needs: [g], call: »x@^1}\n", "recursion", "/steps/s/call", "calls itself"),
]
RIGHT = [
    "  s: {call: other@^1}\n",
    "  s: {call: ops/x@^1}\n",
    f"{A}{B}  s: {{{GET}, needs: [a, b], join: {{count: 2}}}}\n",
    f"{A}{B}  s: {{{GET}, needs: [a, b], join: any, if: steps.a.outcome == 'succeeded'}}\n",
    f"{G}  s: {{emit: {{type: a.b}}, needs: [g], join: all-settled}}\n",
    f"{G}  s: {{{GET}, needs: [g], join: all-settled, if: steps.g.outcome != 'approved'}}\n",
    f"{G}  s: {{{GET}, needs: [g], join: any}}\n",
    f"  r: {{race: [{{id: y, approval: {{limit: 1}}}}, {{id: z, wait: {{timer: PT1M}}}}]}}\n  s: {{{GET}, needs: [r], if: steps.r.outputs.winner == 'y' && steps.r.outputs.outputs.form == null}}\n",
    f"  r: {{race: [{{id: y, {GET}}}, {{id: z, wait: {{timer: PT1M}}}}]}}\n  s: {{{GET}, needs: [r]}}\n",
    f"  r: {{race: [{{id: y, approval: {{limit: 1}}}}, {{id: z, {GET}}}], map: {{items: inputs.hosts}}}}\n  s: {{{GET}, needs: [r]}}\n",
    f"{A}  g: {{needs: [a], steps: {{i: {{{GET}, if: steps.a.error == null}}, j: {{{GET}, needs: [i], if: steps.i.outputs.result == 1}}}}, outputs: {{x: steps.j.outputs.result + steps.a.outputs.result}}}}\n",
    f"{A}  r: {{needs: [a], race: [{{id: y, {GET}, loop: {{until: steps.a.error == null && result.x == 1, max-iterations: 2}}}}, {{id: z, wait: {{until: steps.a.outputs.result}}}}]}}\n",
    "  s: {map: {items: inputs.hosts, as: host}, steps: {i: {map: {items: host.disks, as: disk}, uses: http/request@1, with: {method: GET, url: '${{ host.name }}/${{ disk }}'}}, j: {needs: [i], uses: http/request@1, with: {method: GET, url: '${{ host.name }}'}}}, outputs: {x: 'host.name + steps.j.outputs.result'}}\n",
    "  s: {strategy: {matrix: {a: [1]}}, steps: {i: {uses: http/request@1, with: {method: GET, url: '${{ matrix.a }}'}, compensate: {uses: http/request@1, with: {method: GET, url: '${{ matrix.a }}${{ steps.i.outputs.result }}'}}}}}\n",
    f"  s: {{{GET}, map: {{items: inputs.hosts, as: host}}, rate: {{key: 'r-${{{{ host }}}}', limit: 1, per: PT1S}}, cache: {{key: '${{{{ host }}}}', ttl: PT1S}}, outputs: {{a: host + result.a}}, loop: {{until: result.x == host, max-iterations: 2}}}}\n",
    f"  s: {{{GET}, map: {{items: inputs.hosts, as: host}}, compensate: {{uses: http/request@1, with: {{method: GET, url: '${{{{ host }}}}${{{{ steps.s.outputs.result }}}}'}}}}}}\n",
    f"  g: {{steps: {{inner: {{{GET}, compensate: {{{GET}}}}}}}, on-error: {{compensate: [inner], then: continue}}}}\n",
    f"  a: {{{GET}, compensate: {{{GET}}}}}\n  g: {{needs: [a], steps: {{inner: {{{GET}, on-error: {{compensate: [a]}}}}}}}}\n",
    f"  s: {{{GET}, retry: {{max: 2}}, delivery: at-most-once, timeout: {{attempt: PT1M, total: PT1M}}, heartbeat: PT1S}}\n",
    "  s: {wait: {timer: '${{ inputs.ref }}'}, timeout: P366D}\n",
    "  s: {set: {round: vars.round + 1}}\n  t: {needs: [s], wait: {until: inputs.ref}}\n",
    f"  s: {{{GET}, strategy: {{matrix: {{a: '${{{{ inputs.hosts }}}}', b: [1, 2]}}, exclude: [{{a: x, b: 1}}], join: {{count: 200}}}}}}\n",
]
# fmt: on


@pytest.mark.parametrize(("steps", "code", "path", "words"), MISTAKES)
def test_a_mistake_is_named_where_it_is(steps, code, path, words):
    assert_problem(HEAD + steps, code=code, path=path, words=words)


@pytest.mark.parametrize(("steps", "code", "path", "words"), DOUBTS)
def test_a_doubt_is_a_warning(steps, code, path, words):
    assert_problem(HEAD + steps, code=code, path=path, words=words, severity="warning")


@pytest.mark.parametrize("steps", RIGHT)
def test_what_is_right_has_no_problem(steps):
    compilation = compile_text(HEAD + steps)

    assert compilation.problems == ()
    assert compilation.plan is not None


def nested(depth, inner=f"{{{GET}}}"):
    """Return a step inside so many groups."""
    for number in range(depth):
        inner = f"{{steps: {{g{number}: {inner}}}}}"
    return f"  top: {inner}\n"


def test_containers_nest_to_a_bound():
    assert problems_of(nested(limits.CONTAINER_DEPTH_MAX)) == ()

    (problem,) = problems_of(nested(limits.CONTAINER_DEPTH_MAX + 3))

    assert problem.code == "flow.too_large"
    assert f"at most {limits.CONTAINER_DEPTH_MAX} deep" in problem.message
    assert problem.path.count("/steps") == limits.CONTAINER_DEPTH_MAX + 1


def test_maps_and_loops_count_as_containers():
    inner = f"{{{GET}, map: {{items: inputs.hosts}}, loop: {{until: result.x, max-iterations: 1}}}}"

    assert problems_of(nested(limits.CONTAINER_DEPTH_MAX - 2, inner)) == ()
    assert [item.code for item in problems_of(nested(limits.CONTAINER_DEPTH_MAX - 1, inner))] == [
        "flow.too_large"
    ]


def test_steps_are_counted_at_every_depth(monkeypatch):
    monkeypatch.setattr(limits, "STEP_COUNT_MAX", 3)
    text = f"  a: {{steps: {{i: {{{GET}}}, j: {{{GET}}}}}}}\n"

    assert problems_of(text) == ()
    (problem,) = problems_of(text + B)

    assert (problem.code, problem.path) == ("flow.too_large", "/steps")
    assert "These are 4 steps" in problem.message


def test_the_effects_of_inner_steps_are_told_to_approvals_before_them():
    verb = SmallVerb()
    compilation = compile_text(
        f"{HEAD}  outer:\n    steps:\n      gate: {{approval: {{limit: 1}}}}\n"
        f"      inside: {{{GET}, needs: [gate], effect: one}}\n"
        f"  later: {{needs: [outer], steps: {{deep: {{{GET}, effect: two}}}}}}\n"
        f"  beside: {{{GET}, effect: never}}\n",
        verb=verb,
    )

    assert compilation.problems == ()
    assert verb.scopes[0].effects == ("one", "two")
    assert verb.scopes[0].path == "/steps/outer/steps/gate/approval"


def test_an_approval_in_a_map_is_told_the_name_of_the_item():
    verb = SmallVerb()
    compile_text(
        f"{HEAD}  gate: {{approval: {{limit: 1, when: host == ''}}, "
        "map: {items: inputs.hosts, as: host}}\n",
        verb=verb,
    )

    assert sorted(verb.scopes[0].names) == ["event", "host", "inputs", "run", "steps", "vars"]


def test_what_leaves_by_the_web_process_takes_no_secret():
    compilation = compile_with(
        external_task.SPEC, "{topic: t, data: {a: '${{ secrets.TOKEN }}'}}, timeout: PT1H"
    )

    assert "flow.misplaced_secret" in [problem.code for problem in compilation.problems]
