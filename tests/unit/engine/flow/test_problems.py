"""What is wrong with a definition, its code, its path, and its exact place.

In the sources below `»` stands before the character a problem must point at and is taken out.
"""

# ruff: noqa: E501 - one case is one line

import pytest

from core.kernel import limits
from core.kernel.errors import Problem
from engine.domain.flow.positions import Places
from engine.domain.flow.problems import Code, Reporter, did_you_mean, listed, quoted
from tests.fakes.flow import compile_text
from tests.fakes.marked import assert_problem

HEAD = "schema: flow/v1\nkind: dag\nname: x\n"
SCAN = "  scan: {uses: python/call@1, with: {function: release.scan}}\n"
GET_URL = "uses: http/request@1, with: {method: GET, url: "
GET = "uses: http/request@1, with: {method: GET, url: u}"


# fmt: off
MISTAKES = [
    # --- the whole ---
    ("»", "wrong_type", "", "The definition must be a map, and this is nothing."),
    ("»a:b", "wrong_type", "", "and this is a text"),
    ("»- a", "wrong_type", "", "and this is a list"),
    ("a: »@", "syntax", "", "No value starts with `@`"),
    (f"schema: »flow/v2\nkind: dag\nname: x\nsteps:\n{SCAN}", "wrong_value", "/schema", "`flow/v1`"),
    (f"schema: flow/v1\nkind: states\nname: x\n»steps:\n{SCAN}", "misplaced_key", "/steps", "`steps` goes only with `kind: dag`."),
    (f"schema: flow/v1\nkind: »dga\nname: x\nsteps:\n{SCAN}", "wrong_value", "/kind", "must be `dag` or `states`, not `dga`. Did you mean `dag`?"),
    (f"schema: flow/v1\nkind: dag\nname: »My flow\nsteps:\n{SCAN}", "wrong_value", "/name", "must be a lower-case letter"),
    (f"schema: flow/v1\nkind: dag\nname: »|\n  x\nsteps:\n{SCAN}", "wrong_value", "/name", "must be a lower-case letter"),
    (f"schema: flow/v1\nkind: dag\nname: »{'x' * 65}\nsteps:\n{SCAN}", "wrong_value", "/name", "at most 64 characters"),
    (f"»schema: flow/v1\nkind: dag\nsteps:\n{SCAN}", "missing_key", "", "The key `name` is missing at the top level."),
    (f"»{HEAD}", "one_verb", "", "The definition needs one of `steps` or `states`."),
    (f"{HEAD}»titel: y\nsteps:\n{SCAN}", "unknown_key", "/titel", "There is no key `titel` at the top level. Did you mean `title`?"),
    (f"{HEAD}»concurrency: {{max: 1}}\nsteps:\n{SCAN}", "missing_key", "/concurrency", "The key `group` is missing in `concurrency`."),
    (f"{HEAD}concurrency: {{group: »''}}\nsteps:\n{SCAN}", "wrong_value", "/concurrency/group", "`group`"),
    (f"{HEAD}concurrency: {{group: g, max: »0}}\nsteps:\n{SCAN}", "wrong_value", "/concurrency/max", "`max` must be 1 to 100, not 0."),
    (f"{HEAD}concurrency: {{group: g, on-conflict: »cancel}}\nsteps:\n{SCAN}", "wrong_value", "/concurrency/on-conflict", "`queue`, `cancel-in-progress` or `cancel-newest`"),
    (f"{HEAD}concurrency: {{group: g, »on_conflict: queue}}\nsteps:\n{SCAN}", "unknown_key", "/concurrency/on_conflict", "Did you mean `on-conflict`?"),
    (f"{HEAD}concurrency: {{group: »'${{{{ vars.a }}}}'}}\nsteps:\n{SCAN}", "bad_expression", "/concurrency/group", "the names here are: event, inputs, run"),
    (f"{HEAD}inputs: {{type: object, additionalProperties: false, properties: {{env: {{}}}}}}\nconcurrency: {{group: »'${{{{ inputs.evn }}}}'}}\nsteps:\n{SCAN}", "unknown_field", "/concurrency/group", "Did you mean `env`?"),
    (f"{HEAD}title: »5\nsteps:\n{SCAN}", "wrong_type", "/title", "`title` must be a text, and this is a whole number. Put it between quotes."),
    (f"{HEAD}title: »true\nsteps:\n{SCAN}", "wrong_type", "/title", "this is `true`. Put it between quotes."),
    (f"{HEAD}title: »' '\nsteps:\n{SCAN}", "wrong_value", "/title", "a text that is not empty"),
    (f"{HEAD}title: »a ${{{{ steps.scan.outcome }}}}\nsteps:\n{SCAN}", "bad_expression", "/title", "nothing called 'steps.scan.outcome'; the names here are: event, inputs, run, vars"),
    (f"{HEAD}steps: »[]\n", "wrong_type", "/steps", "`steps` must be a map, and this is a list."),
    (f"{HEAD}steps: »{{}}\n", "wrong_value", "/steps", "`steps` must have 1 to 10000 keys, and has 0."),
    # --- triggers, vars, defaults, outputs ---
    (f"{HEAD}triggers: [»manual]\nsteps:\n{SCAN}", "wrong_type", "/triggers/0", "Item 0 of `triggers` must be a map"),
    (f"{HEAD}triggers: [»{{}}]\nsteps:\n{SCAN}", "wrong_value", "/triggers/0", "must have exactly 1 key, and has 0."),
    (f"{HEAD}triggers: [{{manual: »{{x: 1}}}}]\nsteps:\n{SCAN}", "wrong_value", "/triggers/0/manual", "must have exactly 0 keys"),
    (f"{HEAD}vars: {{»a-b: 1}}\nsteps:\n{SCAN}", "wrong_value", "/vars/a-b", "The name `a-b` must be a letter"),
    (f"{HEAD}vars: {{»in: 1}}\nsteps:\n{SCAN}", "wrong_value", "/vars/in", "no word of CEL"),
    (f"{HEAD}vars: {{a: [»'${{{{ vars.b }}}}']}}\nsteps:\n{SCAN}", "bad_expression", "/vars/a/0", "the names here are: event, inputs, run"),
    (f"{HEAD}vars: {{a: »'${{{{ secrets.B }}}}'}}\nsteps:\n{SCAN}", "misplaced_secret", "/vars/a", "Secrets stand only in `with`"),
    (f"{HEAD}vars: {{a: »'${{{{ run.id'}}\nsteps:\n{SCAN}", "bad_expression", "/vars/a", "is not closed by `}}`"),
    (f"{HEAD}defaults: {{queue: »A}}\nsteps:\n{SCAN}", "wrong_value", "/defaults/queue", "a lower-case letter"),
    (f"{HEAD}defaults: {{timeout: »PT0S}}\nsteps:\n{SCAN}", "bad_duration", "/defaults/timeout", "A timeout is over zero and at most P1D."),
    (f"{HEAD}defaults: {{timeout: »P1Y}}\nsteps:\n{SCAN}", "bad_duration", "/defaults/timeout", "must be an ISO 8601 duration such as `PT30M` or `P1D`, not `P1Y`."),
    (f"{HEAD}defaults: {{retry: {{initial: »P2D}}}}\nsteps:\n{SCAN}", "bad_duration", "/defaults/retry/initial", "A delay is at most P1D."),
    (f"{HEAD}outputs: {{a: »steps.scna.outputs.x}}\nsteps:\n{SCAN}", "unknown_step", "/outputs/a", "There is no step `scna`. Did you mean `scan`?"),
    (f"{HEAD}outputs: {{a: »result}}\nsteps:\n{SCAN}", "bad_expression", "/outputs/a", "`result` is there only in `outputs`, `until` and `while`."),
    # --- inputs ---
    (f"{HEAD}inputs: {{type: »array}}\nsteps:\n{SCAN}", "bad_inputs", "/inputs/type", "must be `type: object`"),
    (f"{HEAD}inputs: {{type: object, properties: {{a: {{type: »strin}}}}}}\nsteps:\n{SCAN}", "bad_inputs", "/inputs/properties/a/type", "There is no type `strin`. Did you mean `string`?"),
    (f"{HEAD}inputs: {{type: object, »patternProperties: {{}}}}\nsteps:\n{SCAN}", "bad_inputs", "/inputs/patternProperties", "is not accepted"),
    (f"{HEAD}inputs: »5\nsteps:\n{SCAN}", "wrong_type", "/inputs", "`inputs` must be a map"),
    # --- steps and verbs ---
    (f"{HEAD}steps:\n  »Scan: {{{GET}}}\n", "wrong_value", "/steps/Scan", "The name `Scan` must be"),
    (f"{HEAD}steps:\n  »true_: {{}}\n", "one_verb", "/steps/true_", "`true_` needs one of `uses`, `approval`, `call`, `wait`, `emit`, `race`, `set` or `steps`."),
    (f"{HEAD}steps:\n  »a: {{{GET}, approval: {{}}}}\n", "one_verb", "/steps/a", "`a` has `uses` and `approval`, and only one can be."),
    (f"{HEAD}steps:\n  a: »5\n", "wrong_type", "/steps/a", "`a` must be a map, and this is a whole number."),
    (f"{HEAD}steps:\n  a: {{{GET}, »mtx: 1}}\n", "unknown_key", "/steps/a/mtx", "There is no key `mtx` in `a`."),
    (f"{HEAD}steps:\n  a: {{{GET}, »retries: 1}}\n", "unknown_key", "/steps/a/retries", "Did you mean `retry`?"),
    # --- actions ---
    (f"{HEAD}steps:\n  a: {{uses: »python/cal@1, with: {{function: x}}}}\n", "unknown_action", "/steps/a/uses", "There is no action `python/cal@1`. Did you mean `python/call@1`?"),
    (f"{HEAD}steps:\n  a: {{uses: »python/call@2}}\n", "unknown_action", "/steps/a/uses", "Did you mean `python/call@1`?"),
    (f"{HEAD}steps:\n  a: {{uses: »python}}\n", "wrong_value", "/steps/a/uses", "an action and its version"),
    (f"{HEAD}steps:\n  a: {{uses: »5}}\n", "wrong_type", "/steps/a/uses", "must be a text"),
    (f"{HEAD}steps:\n  a: {{uses: python/call@1, with: {{function: »release.scn}}}}\n", "unknown_function", "/steps/a/with/function", "There is no function `release.scn`. Did you mean `release.scan`?"),
    (f"{HEAD}inputs: {{type: object, properties: {{f: {{}}}}}}\nsteps:\n  a: {{uses: python/call@1, with: {{function: »'${{{{ inputs.f }}}}'}}}}\n", "unknown_function", "/steps/a/with/function", "must be named here"),
    (f"{HEAD}steps:\n  a: {{uses: http/request@1, »with: {{method: GET}}}}\n", "bad_arguments", "/steps/a/with", "The action needs `url`."),
    (f"{HEAD}steps:\n  a:\n    »uses: http/request@1\n", "bad_arguments", "/steps/a/with", "The action needs `method`, `url`."),
    (f"{HEAD}steps:\n  a: {{uses: http/request@1, with: {{method: GET, url: u, »ulr: v}}}}\n", "bad_arguments", "/steps/a/with/ulr", "The action takes no `ulr`. Did you mean `url`?"),
    (f"{HEAD}steps:\n  a: {{uses: http/request@1, with: {{method: »PSOT, url: u}}}}\n", "bad_arguments", "/steps/a/with/method", "'PSOT' is not one of ['GET', 'POST']."),
    (f"{HEAD}steps:\n  a: {{uses: http/request@1, with: {{method: GET, url: u, expect: »'x ${{{{ run.id }}'}}}}\n", "bad_expression", "/steps/a/with/expect", "a `}` has no matching `{`"),
    (f"{HEAD}steps:\n  a: {{uses: http/request@1, with: {{method: GET, url: u, tags: »[a, b, '${{{{ run.id }}}}']}}}}\n", "bad_arguments", "/steps/a/with/tags", "is too long."),
    (f"{HEAD}steps:\n  a: {{uses: http/request@1, with: »[]}}\n", "wrong_type", "/steps/a/with", "`with` must be a map"),
    # --- needs ---
    (f"{HEAD}steps:\n{SCAN}  a: {{{GET}, needs: [scan, »scna]}}\n", "unknown_need", "/steps/a/needs/1", "There is no step `scna`. Did you mean `scan`?"),
    (f"{HEAD}steps:\n{SCAN}  a: {{{GET}, needs: [scan, »scan]}}\n", "wrong_value", "/steps/a/needs/1", "`scan` is here twice."),
    (f"{HEAD}steps:\n{SCAN}  a: {{{GET}, needs: »scan}}\n", "wrong_type", "/steps/a/needs", "must be a list, and this is a text."),
    (f"{HEAD}steps:\n{SCAN}  a: {{{GET}, needs: [»1]}}\n", "wrong_type", "/steps/a/needs/0", "Item 0 of `needs` must be a text"),
    (f"{HEAD}steps:\n  a: {{{GET}, needs: [»a]}}\n", "cyclic_needs", "/steps/a/needs/0", "`a` needs itself."),
    (f"{HEAD}steps:\n{SCAN}  c: {{{GET}, needs: [b]}}\n  a: {{{GET}, needs: [scan, c]}}\n  b: {{{GET}, needs: [a]}}\n".replace("needs: [b]", "needs: [»b]"), "cyclic_needs", "/steps/c/needs/0", "in a circle: `c` → `b` → `a` → `c`."),
    # --- if, join ---
    (f"{HEAD}steps:\n  a: {{{GET}, if: »1 + 1}}\n", "bad_expression", "/steps/a/if", "this is never true or false, but int"),
    (f"{HEAD}steps:\n  a: {{{GET}, if: »true}}\n", "wrong_type", "/steps/a/if", "Put it between quotes."),
    (f"{HEAD}steps:\n  a: {{{GET}, if: »'${{{{ run.id == 1 }}}}'}}\n", "bad_expression", "/steps/a/if", "remove the `${{` and `}}` around it"),
    (f"{HEAD}steps:\n  a: {{{GET}, if: »inptus.x}}\n", "bad_expression", "/steps/a/if", "Did you mean `inputs`?"),
    (f"{HEAD}steps:\n  a: {{{GET}, if: »'run.id == 1 &&'}}\n", "bad_expression", "/steps/a/if", "`run.id == 1 &&` does not compile: character 15: the expression is not finished."),
    (f"{HEAD}steps:\n  a: {{{GET}, if: »'{'x' * 4001}'}}\n", "wrong_value", "/steps/a/if", "at most 4000 characters"),
    (f"{HEAD}steps:\n  a: {{{GET}, if: »'event.data.x'}}\n", "unknown_field", "/steps/a/if", "No trigger of this definition brings an `event`"),
    (f"{HEAD}steps:\n{SCAN}  a: {{{GET}, if: »steps.scan.outcome == 'x'}}\n", "not_upstream", "/steps/a/if", "`scan` need not have ended when `a` starts; add it to `needs`."),
    (f"{HEAD}steps:\n{SCAN}  a: {{{GET}, needs: [scan], if: »steps.scan.output == 1}}\n", "unknown_field", "/steps/a/if", "There is no `steps.scan.output`, only `outcome`, `outputs` or `error`. Did you mean `outputs`?"),
    (f"{HEAD}steps:\n{SCAN}  a: {{{GET}, needs: [scan], if: »steps.scan.outputs.critical}}\n", "unknown_field", "/steps/a/if", "There is no `steps.scan.outputs.critical`, only `result`."),
    (f"{HEAD}steps:\n{SCAN}  a: {{{GET}, needs: [scan], if: »steps.scan.error.kin == 'x'}}\n", "unknown_field", "/steps/a/if", "only `kind` or `message`"),
    (f"{HEAD}steps:\n{SCAN}  a: {{{GET}, needs: [scan], if: »'size(steps) > 0'}}\n", "bad_expression", "/steps/a/if", "Name the step that is read"),
    (f"{HEAD}steps:\n  a: {{{GET}, if: »steps.a.outcome == 'x'}}\n", "not_upstream", "/steps/a/if", "`a` cannot read itself"),
    (f"{HEAD}vars: {{abc: 1}}\nsteps:\n  a: {{{GET}, if: »vars.abd == 1}}\n", "unknown_field", "/steps/a/if", "There is no `vars.abd`. Did you mean `abc`?"),
    (f"{HEAD}steps:\n  a: {{{GET}, if: »inputs.x == 1}}\n", "unknown_field", "/steps/a/if", "the workflow declares no `inputs`"),
    (f"{HEAD}inputs: {{type: object, additionalProperties: false, properties: {{ref: {{}}}}}}\nsteps:\n  a: {{{GET}, if: »inputs.rev == 1}}\n", "unknown_field", "/steps/a/if", "`inputs` does not declare `rev`. Did you mean `ref`?"),
    (f"{HEAD}steps:\n{SCAN}  a: {{{GET}, needs: [scan], join: {{count: 1, »x: 2}}}}\n", "unknown_key", "/steps/a/join/x", "There is no key `x` in `join`."),
    (f"{HEAD}steps:\n{SCAN}  a: {{{GET}, needs: [scan], »join: {{cancel-rest: true}}}}\n", "missing_key", "/steps/a/join", "The key `count` is missing in `join`."),
    (f"{HEAD}steps:\n{SCAN}  a: {{{GET}, needs: [scan], join: »5}}\n", "wrong_type", "/steps/a/join", "`join` must be a text or a map, and this is a whole number."),
    (f"{HEAD}steps:\n{SCAN}  a: {{{GET}, needs: [scan], join: »al}}\n", "wrong_value", "/steps/a/join", "Did you mean `all`?"),
    (f"{HEAD}steps:\n  g: {{approval: {{limit: 1}}}}\n  a: {{{GET}, needs: [g], join: »all-settled}}\n", "unread_outcome", "/steps/a/join", "reads `steps.g.outcome`"),
    (f"{HEAD}steps:\n  g: {{approval: {{limit: 1}}}}\n  a: {{{GET}, needs: [g], join: »all-settled, if: steps.g.outputs.form.x == 1}}\n", "unread_outcome", "/steps/a/join", "It would start whatever `g` decides."),
    (f"{HEAD}steps:\n  g: {{approval: {{limit: 1}}, join: »all-settled}}\n", "misplaced_key", "/steps/g/join", "remove `join`"),
    # --- retry, timeout ---
    (f"{HEAD}steps:\n  a: {{{GET}, timeout: »PT25H}}\n", "bad_duration", "/steps/a/timeout", "at most P1D"),
    (f"{HEAD}steps:\n  a: {{{GET}, timeout: »30}}\n", "wrong_type", "/steps/a/timeout", "must be a text or a map, and this is a whole number"),
    (f"{HEAD}steps:\n  a: {{{GET}, retry: {{max: »101}}}}\n", "wrong_value", "/steps/a/retry/max", "`max` must be 0 to 100, not 101."),
    (f"{HEAD}steps:\n  a: {{{GET}, retry: {{max: »1.5}}}}\n", "wrong_type", "/steps/a/retry/max", "must be a whole number, and this is a number."),
    (f"{HEAD}steps:\n  a: {{{GET}, retry: {{max: »-1}}}}\n", "wrong_value", "/steps/a/retry/max", "must be 0 to 100"),
    (f"{HEAD}steps:\n  a: {{{GET}, retry: {{backoff: »linear}}}}\n", "wrong_value", "/steps/a/retry/backoff", "`fixed` or `exponential`"),
    (f"{HEAD}steps:\n  a: {{{GET}, retry: {{initial: PT2M, max-delay: »PT1M}}}}\n", "bad_duration", "/steps/a/retry/max-delay", "`max-delay` is shorter than `initial`."),
    (f"{HEAD}steps:\n  a: {{{GET}, retry: {{max-delay: »P1DT1S}}}}\n", "bad_duration", "/steps/a/retry/max-delay", "A delay is at most P1D."),
    (f"{HEAD}steps:\n  a: {{{GET}, retry: {{errors: [»Timeout]}}}}\n", "wrong_value", "/steps/a/retry/errors/0", "a kind of error"),
    (f"{HEAD}steps:\n  a: {{{GET}, retry: {{errors: »[]}}}}\n", "wrong_value", "/steps/a/retry/errors", "must have 1 to 20 items"),
    # --- compensation ---
    (f"{HEAD}steps:\n  a: {{{GET}, »compensate-on-failure: true}}\n", "misplaced_key", "/steps/a/compensate-on-failure", "goes only with `compensate`"),
    (f"{HEAD}steps:\n  a: {{{GET}, »compensate: {{}}}}\n", "missing_key", "/steps/a/compensate", "The key `uses` is missing in `compensate`."),
    (f"{HEAD}steps:\n  a: {{{GET}, compensate: {{uses: »http/reqest@1}}}}\n", "unknown_action", "/steps/a/compensate/uses", "`http/request@1`?"),
    (f"{HEAD}steps:\n  a: {{{GET}, compensate: {{uses: http/request@1, with: {{method: GET, url: »'${{{{ steps.a.outputs.x }}}}'}}}}}}\n", "unknown_field", "/steps/a/compensate/with/url", "only `result`"),
    (f"{HEAD}steps:\n  a: {{{GET}, compensate: {{{GET}, timeout: »P9D}}}}\n", "bad_duration", "/steps/a/compensate/timeout", "at most P1D"),
    (f"{HEAD}steps:\n{SCAN}  a: {{{GET}, on-error: {{compensate: [»scan]}}}}\n", "bad_compensation", "/steps/a/on-error/compensate/0", "`scan` has no `compensate`"),
    (f"{HEAD}steps:\n{SCAN}  a: {{{GET}, on-error: {{compensate: [»scna]}}}}\n", "unknown_step", "/steps/a/on-error/compensate/0", "Did you mean `scan`?"),
    (f"{HEAD}steps:\n  a: {{{GET}, on-error: »{{}}}}\n", "wrong_value", "/steps/a/on-error", "must have at least 1 key"),
    # --- outputs, effect ---
    (f"{HEAD}steps:\n  a: {{{GET}, outputs: {{x: »result.}}}}\n", "bad_expression", "/steps/a/outputs/x", "does not compile"),
    (f"{HEAD}steps:\n  a: {{{GET}, outputs: {{x: »5}}}}\n", "wrong_type", "/steps/a/outputs/x", "Put it between quotes"),
    (f"{HEAD}steps:\n  a: {{{GET}, outputs: {{»a b: result}}}}\n", "wrong_value", "/steps/a/outputs/a b", "The name `a b`"),
    (f"{HEAD}steps:\n{SCAN}  a: {{{GET}, needs: [scan], effect: »'x ${{{{ steps.scan.outcome }}}}'}}\n", "bad_expression", "/steps/a/effect", "the names here are: event, inputs, run, vars"),
    # --- secrets ---
    (f"{HEAD}steps:\n  a: {{{GET_URL}»'https://x/${{{{ secrets.TOKEN }}}}'}}}}\n", "undeclared_secret", "/steps/a/with/url", "does not declare the secret `TOKEN`"),
    (f"{HEAD}secrets: [TOKENS]\nsteps:\n  a: {{{GET_URL}»'${{{{ secrets.TOKEN }}}}'}}}}\n", "undeclared_secret", "/steps/a/with/url", "Did you mean `TOKENS`?"),
    (f"{HEAD}secrets: [TOKEN]\nsteps:\n  a: {{{GET_URL}»'${{{{ secrets.TOKEN + inputs.x }}}}'}}}}\n", "misplaced_secret", "/steps/a/with/url", "nothing else between the braces"),
    (f"{HEAD}secrets: [TOKEN]\nsteps:\n  a: {{{GET_URL}»'${{{{ secrets }}}}'}}}}\n", "misplaced_secret", "/steps/a/with/url", "nothing else between the braces"),
    (f"{HEAD}secrets: [TOKEN]\nsteps:\n  a: {{{GET}, if: »secrets.TOKEN == 'x'}}\n", "misplaced_secret", "/steps/a/if", "Secrets stand only in `with`"),
    (f"{HEAD}secrets: [TOKEN]\nsteps:\n  a: {{{GET}, outputs: {{x: »secrets.TOKEN}}}}\n", "misplaced_secret", "/steps/a/outputs/x", "Secrets stand only in `with`"),
    (f"{HEAD}secrets: [TOKEN]\nsteps:\n  a: {{{GET}, effect: »'${{{{ secrets.TOKEN }}}}'}}\n", "misplaced_secret", "/steps/a/effect", "Secrets stand only in `with`"),
    (f"{HEAD}secrets: [TOKEN]\nsteps:\n  a: {{{GET}, mutex: »'${{{{ secrets.TOKEN }}}}'}}\n", "misplaced_secret", "/steps/a/mutex", "Secrets stand only in `with`"),
    (f"{HEAD}secrets: [TOKEN]\nsteps:\n  a: {{{GET}, cache: {{key: »'${{{{ secrets.TOKEN }}}}', ttl: PT1M}}}}\n", "misplaced_secret", "/steps/a/cache/key", "Secrets stand only in `with`"),
    (f"{HEAD}secrets: [TOKEN]\nsteps:\n  a: {{call: y@^1, with: {{y: »'${{{{ secrets.TOKEN }}}}'}}}}\n", "misplaced_secret", "/steps/a/with/y", "Secrets stand only in `with`"),
    (f"{HEAD}secrets: [TOKEN]\nsteps:\n  a: {{emit: {{type: t, data: {{y: »'${{{{ secrets.TOKEN }}}}'}}}}}}\n", "misplaced_secret", "/steps/a/emit/data/y", "Secrets stand only in `with`"),
    (f"{HEAD}secrets: [TOKEN]\ntitle: »'${{{{ secrets.TOKEN }}}}'\nsteps:\n{SCAN}", "misplaced_secret", "/title", "Secrets stand only in `with`"),
    (f"{HEAD}secrets: [TOKEN]\noutputs: {{x: »secrets.TOKEN}}\nsteps:\n{SCAN}", "misplaced_secret", "/outputs/x", "Secrets stand only in `with`"),
    (f"{HEAD}secrets: [TOKEN]\nsteps:\n  a: {{{GET}, map: {{items: »'[secrets.TOKEN]', as: x}}}}\n", "misplaced_secret", "/steps/a/map/items", "Secrets stand only in `with`"),
    (f"{HEAD}secrets: [»token]\nsteps:\n{SCAN}", "wrong_value", "/secrets/0", "a capital letter"),
    (f"{HEAD}secrets: [A, »A]\nsteps:\n{SCAN}", "wrong_value", "/secrets/1", "here twice"),
    (f"{HEAD}secrets: »{{A: 1}}\nsteps:\n{SCAN}", "wrong_type", "/secrets", "must be a list"),
    # --- approvals ---
    (f"{HEAD}steps:\n  g: {{approval: {{limit: 1}}, »retry: {{max: 1}}}}\n", "misplaced_key", "/steps/g/retry", "`retry` goes only with `uses`."),
    (f"{HEAD}steps:\n  g: {{approval: {{limit: 1}}, »timeout: PT1M}}\n", "misplaced_key", "/steps/g/timeout", "`timeout` does not go with `approval`."),
    (f"{HEAD}steps:\n  g: {{approval: {{limit: 1}}, »with: {{}}}}\n", "misplaced_key", "/steps/g/with", "`with` goes only with `uses` or `call`."),
    (f"{HEAD}steps:\n  g: {{approval: {{limit: 1}}, »map: {{}}}}\n", "missing_key", "/steps/g/map", "The key `items` is missing in `map`."),
    (f"{HEAD}steps:\n  g: {{approval: »5}}\n", "wrong_type", "/steps/g/approval", "`approval` must be a map"),
    (f"{HEAD}steps:\n  g:\n    approval:\n      limit: 1\n      »x:\n        y: 1\n", "small.unknown_key", "/steps/g/approval/x", "No x."),
    (f"{HEAD}steps:\n{SCAN}  g:\n    approval:\n      limit: 1\n      when: »steps.scan.outcome == 'x'\n", "bad_block", "/steps/g/approval/when", "add it to `needs`"),
    (f"{HEAD}steps:\n  g: {{approval: {{limit: 1, when: »'subject.a + 1 == vars.x'}}}}\n", "bad_block", "/steps/g/approval/when", "There is no `vars.x`."),
    (f"{HEAD}steps:\n  g: {{approval: »{{limit: 1, title: '${{{{ secrets.x }}}}'}}}}\n", "bad_block", "/steps/g/approval/when", "Secrets stand only in `with`"),
    (f"{HEAD}steps:\n  g: {{approval: »{{limit: 1, title: '${{{{ x'}}}}\n", "bad_block", "/steps/g/approval/when", "is not closed"),
]
DOUBTS = [
    (f"{HEAD}steps:\n  g: {{approval: »{{}}}}\n", "small.x", "/steps/g/approval", "No limit."),
    (f"{HEAD}inputs: {{type: object, »requird: [a]}}\nsteps:\n{SCAN}", "bad_inputs", "/inputs/requird", "Did you mean `required`?"),
    (f"{HEAD}inputs: {{type: object, properties: {{ref: {{}}}}}}\nsteps:\n  a: {{{GET}, if: »inputs.rev == 1}}\n", "unknown_input", "/steps/a/if", "does not declare `rev`. Did you mean `ref`?"),
    (f"{HEAD}secrets: [USED, »SPARE]\nsteps:\n  a: {{{GET}, compensate: {{uses: http/request@1, with: {{method: GET, url: '${{{{ secrets.USED }}}}'}}}}}}\n", "unused_secret", "/secrets/1", "declared and not used"),
    (f"{HEAD}steps:\n  a: {{{GET}, compensate: {{uses: »python/call@1, with: {{function: release.scan}}}}}}\n", "not_idempotent", "/steps/a/compensate/uses", "is not idempotent"),
]
# fmt: on


@pytest.mark.parametrize(("source", "code", "path", "words"), MISTAKES)
def test_a_mistake_is_named_where_it_is(source, code, path, words):
    assert_problem(source, code=code, path=path, words=words)


@pytest.mark.parametrize(("source", "code", "path", "words"), DOUBTS)
def test_a_doubt_is_a_warning_and_the_definition_compiles(source, code, path, words):
    assert_problem(source, code=code, path=path, words=words, severity="warning")
    assert compile_text(source.replace("»", "")).plan is not None


def test_all_mistakes_are_found_at_once_in_the_order_of_the_text():
    source = (
        "schema: flow/v1\nkind: dag\nname: X\nsteps:\n"
        "  a: {uses: a/b@1, needs: [c], if: 'x'}\n"
        "  b: {uses: python/call@1, with: {function: f}, needs: [b]}\n"
        "outputs: {o: steps.z}\n"
    )

    problems = compile_text(source).problems

    assert [(item.line, item.column, item.code) for item in problems] == [
        (3, 7, "flow.wrong_value"),
        (5, 13, "flow.unknown_action"),
        (5, 28, "flow.unknown_need"),
        (5, 36, "flow.bad_expression"),
        (6, 45, "flow.unknown_function"),
        (6, 57, "flow.cyclic_needs"),
        (7, 14, "flow.unknown_step"),
    ]


def test_a_broken_condition_reads_no_outcome():
    steps = (
        f"  g: {{approval: {{limit: 1}}}}\n  a: {{{GET}, needs: [g], join: all-settled, if: '@'}}\n"
    )

    problems = compile_text(f"{HEAD}steps:\n{steps}").problems

    assert [item.code for item in problems] == ["flow.unread_outcome", "flow.bad_expression"]


def test_a_circle_is_not_also_a_matter_of_what_comes_first():
    steps = f"  a: {{{GET}, needs: [b], if: steps.b.error == null}}\n  b: {{{GET}, needs: [a]}}\n"

    (problem,) = compile_text(f"{HEAD}steps:\n{steps}").problems

    assert problem.code == "flow.cyclic_needs"


def test_one_mistake_in_one_place_is_said_once():
    text = f"{HEAD}title: '${{{{ a }}}} ${{{{ a }}}}'\nsteps:\n{SCAN}"

    assert len(compile_text(text).problems) == 1


def test_the_number_of_problems_is_bounded_and_errors_go_first():
    steps = "".join(
        f"  s{number}: {{uses: x/y@1, approval: {{}}, zzz{number}: 1}}\n" for number in range(500)
    )

    problems = compile_text(f"{HEAD}inputs: {{type: object, foo: 1}}\nsteps:\n{steps}").problems

    assert len(problems) == limits.PROBLEM_COUNT_MAX
    assert {item.severity for item in problems} == {"error"}


def test_the_problems_of_one_text_are_bounded_too():
    holes = "".join(f"${{{{ a{number} }}}}" for number in range(60))

    problems = compile_text(f"{HEAD}title: x\nvars: {{a: '{holes}'}}\nsteps:\n{SCAN}").problems

    assert len(problems) == limits.PROBLEM_COUNT_MAX


def test_long_circles_are_shortened():
    steps = "".join(
        f"  s{number}: {{{GET}, needs: [s{(number + 1) % 50}]}}\n" for number in range(50)
    )

    (problem,) = compile_text(f"{HEAD}steps:\n{steps}").problems

    assert problem.message.count("→") == 20


def test_what_is_not_installed_is_refused():
    (problem,) = compile_text(
        f"{HEAD}steps:\n  g:\n    if: run.id == '1'\n    approval: {{}}\n", verbs={}
    ).problems

    assert (problem.code, problem.line, problem.column) == ("flow.not_implemented", 7, 5)


# --- small parts -----------------------------------------------------------------------------


def test_a_reporter_takes_blocks_pointers_from_the_block_or_from_the_root():
    reporter = Reporter(places=Places())

    reporter.add(Problem(message="a", path="/b"), base="/a")
    reporter.add(Problem(message="b", path="/a/b"), base="/a")
    reporter.add(Problem(message="c", path="/a"), base="/a")
    reporter.add(Problem(message="d", path=""), base="/a")

    assert [item.path for item in reporter.problems()] == ["/a", "/a", "/a/b", "/a/b"]
    assert {item.code for item in reporter.problems()} == {Code.BAD_BLOCK}


def test_a_suggestion_is_made_only_among_few_and_short_words():
    assert did_you_mean("scna", ["scan", "test"]) == " Did you mean `scan`?"
    assert did_you_mean("zzz", ["scan"]) == ""
    assert did_you_mean("x" * 81, ["x" * 80]) == ""
    assert did_you_mean("scna", [f"scan{number}" for number in range(501)]) == ""


def test_words_of_the_author_are_quoted_short_and_in_one_line():
    assert quoted("a\n b") == "`a b`"
    assert quoted("x" * 81) == f"`{'x' * 80}…`"
    assert listed(["a"]) == "`a`"
    assert listed(["a", "b", "c"]) == "`a`, `b` or `c`"
