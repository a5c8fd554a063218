"""What is wrong with the triggers that start runs by themselves, and where.

In the sources below `»` stands before the character a problem must point at and is taken out.
"""

# ruff: noqa: E501 - one case is one line

import pytest

from engine.domain.plan_json import plan_digest, plan_from_json, plan_to_json
from engine.domain.schedules import CatchUp
from engine.domain.triggers import (
    EventTrigger,
    FinishTrigger,
    Provider,
    ScheduleTrigger,
    WebhookTrigger,
    name_triggers,
)
from tests.fakes.flow import compile_text
from tests.fakes.marked import assert_problem

HEAD = "schema: flow/v1\nkind: dag\nname: x\ninputs: {type: object, additionalProperties: false, required: [ref], properties: {ref: {}, env: {default: test}}}\n"
STEPS = "steps: {a: {uses: http/request@1, with: {method: GET, url: 'u${{ event.data.n }}'}}}\n"
REF = "inputs: {ref: event.id}"


# fmt: off
MISTAKES = [
    (f"»schedule: {{timezone: UTC, {REF}}}", "missing_key", "/triggers/0/schedule", "`cron`"),
    ("schedule: {cron: »'0 9 * *', inputs: {ref: event.id}}", "bad_schedule", "/triggers/0/schedule/cron", "five fields"),
    (f"schedule: {{cron: »'0 99 * * *', {REF}}}", "bad_schedule", "/triggers/0/schedule/cron", "Bad hour"),
    (f"schedule: {{cron: »'0 0 0 * * *', {REF}}}", "bad_schedule", "/triggers/0/schedule/cron", "five fields"),
    (f"schedule: {{cron: '0 9 * * *', timezone: »Europe/Bonn, {REF}}}", "bad_schedule", "/triggers/0/schedule/timezone", "no time zone"),
    (f"schedule: {{cron: '0 9 * * *', catch-up: »some, {REF}}}", "wrong_value", "/triggers/0/schedule/catch-up", "`none`"),
    ("»schedule: {cron: '0 9 * * *'}", "bad_trigger", "/triggers/0/schedule", "needs the inputs `ref`"),
    ("schedule: {cron: '0 9 * * *', inputs: {ref: »inputs.env}}", "bad_expression", "/triggers/0/schedule/inputs/ref", "the names here are: event"),
    ("schedule: {cron: '0 9 * * *', inputs: {ref: '1', »refs: '1'}}", "unknown_field", "/triggers/0/schedule/inputs/refs", "Did you mean `ref`?"),
    (f"»event: {{filter: 'true', {REF}}}", "missing_key", "/triggers/0/event", "`type`"),
    (f"event: {{type: »'a b', {REF}}}", "wrong_value", "/triggers/0/event/type", "letters and digits"),
    (f"event: {{type: a.b, filter: »'1 +', {REF}}}", "bad_expression", "/triggers/0/event/filter", "not finished"),
    (f"event: {{type: a.b, filter: »'1 + 1', {REF}}}", "bad_expression", "/triggers/0/event/filter", "never true or false"),
    (f"event: {{type: a.b, dedupe: »steps.a, {REF}}}", "bad_expression", "/triggers/0/event/dedupe", "the names here are: event"),
    (f"event: {{type: a.b, »window: PT1M, {REF}}}", "misplaced_key", "/triggers/0/event/window", "`dedupe`"),
    (f"»webhook: {{event: push, {REF}}}", "missing_key", "/triggers/0/webhook", "`provider`"),
    (f"webhook: {{provider: »gitlab, {REF}}}", "wrong_value", "/triggers/0/webhook/provider", "`github`"),
    (f"webhook: {{provider: hmac, name: »A b, {REF}}}", "wrong_value", "/triggers/0/webhook/name", "lower-case"),
    (f"webhook: {{provider: hmac, filter: »'1 +', {REF}}}", "bad_expression", "/triggers/0/webhook/filter", "not finished"),
    (f"webhook: {{provider: hmac, »window: PT1M, {REF}}}", "misplaced_key", "/triggers/0/webhook/window", "`dedupe`"),
    (f"webhook: {{provider: hmac, {REF}}}}}, {{»webhook: {{provider: hmac, {REF}}}", "bad_trigger", "/triggers/1/webhook", "give this one a `name`"),
    (f"event: {{type: a.b, name: hmac, {REF}}}}}, {{»webhook: {{provider: hmac, {REF}}}", "bad_trigger", "/triggers/1/webhook", "called `hmac`"),
    (f"»run-finished: {{{REF}}}", "missing_key", "/triggers/0/run-finished", "`workflow`"),
    (f"run-finished: {{workflow: y, outcomes: [»done], {REF}}}", "wrong_value", "/triggers/0/run-finished/outcomes/0", "`succeeded`"),
    (f"run-finished: {{workflow: y, outcomes: »[], {REF}}}", "wrong_value", "/triggers/0/run-finished/outcomes", "1"),
    (f"event: {{type: a.b, dedupe: event.id, window: »P31D, {REF}}}", "bad_duration", "/triggers/0/event/window", "at most P30D"),
]
# fmt: on


@pytest.mark.parametrize(("text", "code", "path", "words"), MISTAKES)
def test_a_mistake_is_named_where_it_is(text, code, path, words):
    source = f"{HEAD}triggers: [{{{text}}}]\n{STEPS}"

    assert_problem(source, code=code, path=path, words=words)


def test_triggers_are_part_of_the_plan_and_survive_being_stored():
    source = f"""{HEAD}triggers:
- manual: {{}}
- schedule: {{cron: '0  9 * * MON-FRI', timezone: Europe/Berlin, catch-up: all, {REF}}}
- event: {{type: a.b, filter: 'event.data.n > 1', dedupe: event.data.n, window: PT10M, {REF}}}
- event: {{type: c.d, {REF}}}
- webhook: {{provider: github, event: push, dedupe: event.id, {REF}}}
- run-finished: {{workflow: y, outcomes: [failed, expired], filter: 'event.data.number > 1', name: after, {REF}}}
{STEPS}"""

    compilation = compile_text(source)

    plan = compilation.plan
    assert plan is not None, compilation.problems
    inputs = {"ref": "event.id"}
    assert plan.automatic == (
        ScheduleTrigger(
            cron="0 9 * * MON-FRI", timezone="Europe/Berlin", catch_up=CatchUp.ALL, inputs=inputs
        ),
        EventTrigger(
            type="a.b",
            filter="event.data.n > 1",
            dedupe="event.data.n",
            window_seconds=600.0,
            inputs=inputs,
        ),
        EventTrigger(type="c.d", inputs=inputs),
        WebhookTrigger(
            provider=Provider.GITHUB,
            event="push",
            dedupe="event.id",
            window_seconds=86400.0,
            inputs=inputs,
        ),
        FinishTrigger(
            workflow="y",
            outcomes=("failed", "expired"),
            filter="event.data.number > 1",
            name="after",
            inputs=inputs,
        ),
    )
    names = ("schedule", "event", "event-2", "github", "after")
    assert name_triggers(plan.automatic) == names
    assert plan.triggers == ("manual", "schedule", "event", "webhook", "run-finished")
    again = plan_from_json(plan_to_json(plan))
    assert (again, plan_digest(again)) == (plan, plan_digest(plan))


def test_a_plan_without_automatic_triggers_is_written_as_before():
    source = "schema: flow/v1\nkind: dag\nname: x\nsteps: {a: {emit: {type: a.b}}}\n"
    plan = compile_text(source).plan

    assert plan is not None
    assert "automatic" not in plan_to_json(plan)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("event: {type: »a.b}", "/triggers/0/event/type"),
        ("run-finished: {workflow: »x}", "/triggers/0/run-finished/workflow"),
    ],
)
def test_a_workflow_that_starts_itself_is_warned_of(text, path):
    source = f"""schema: flow/v1
kind: dag
name: x
triggers: [{{{text}}}]
steps: {{g: {{steps: {{a: {{emit: {{type: a.b}}}}}}}}}}
"""

    assert_problem(
        source, code="trigger_circle", path=path, words="another one", severity="warning"
    )


def test_a_workflow_that_hears_others_is_not_warned_of():
    source = """schema: flow/v1
kind: dag
name: x
triggers: [{event: {type: c.d}}, {run-finished: {workflow: y}}]
steps: {a: {emit: {type: a.b}}}
"""

    assert compile_text(source).problems == ()
