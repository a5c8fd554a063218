"""A plan survives being stored, and its digest names what it does."""

import json
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from core.kernel.canonical import canonical_bytes
from engine.domain.plan import (
    AfterError,
    Backoff,
    Compensation,
    Join,
    OnError,
    Plan,
    Retry,
    Step,
    Uses,
    Wait,
)
from engine.domain.plan_json import plan_digest, plan_from_json, plan_to_json

names = st.sampled_from(["a", "b", "scan", "wait", "uses", "body", "é", "order", "steps"])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([0.5, -1.25]) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
maps = st.dictionaries(names, values, max_size=3)
text_maps = st.dictionaries(names, texts, max_size=3)
seconds = st.integers(1, 5000) | st.sampled_from([0.5, 1.0, 1800.0])
retries = st.builds(
    Retry,
    retries_max=st.integers(0, 100),
    backoff=st.sampled_from(Backoff),
    initial_seconds=seconds,
    delay_seconds_max=seconds,
    jitter=st.booleans(),
    errors=st.lists(texts, max_size=3).map(tuple),
)
uses = st.builds(Uses, action=texts, arguments=maps)
ids = st.lists(names, max_size=3, unique=True).map(tuple)
steps = st.builds(
    Step,
    id=names,
    verb=uses | st.builds(Wait, verb=texts, body=maps),
    needs=ids,
    condition=st.none() | texts,
    condition_reads=ids,
    join=st.sampled_from(Join),
    retry=retries,
    timeout_seconds=seconds,
    compensate=st.none()
    | st.builds(Compensation, uses=uses, retry=retries, timeout_seconds=seconds),
    compensate_on_failure=st.booleans(),
    on_error=st.none() | st.builds(OnError, compensate=ids, then=st.sampled_from(AfterError)),
    outputs=st.none() | text_maps,
    effect=texts,
)
plans = st.builds(
    Plan,
    name=names,
    title=texts,
    inputs_schema=maps,
    variables=maps,
    steps=st.lists(steps, max_size=4, unique_by=lambda step: step.id).map(
        lambda items: {step.id: step for step in items}
    ),
    outputs=text_maps,
    triggers=st.lists(texts, max_size=2).map(tuple),
)


@settings(max_examples=60)
@given(plan=plans)
def test_a_plan_is_read_back_as_it_was_written(plan):
    value = plan_to_json(plan)

    for text in (json.dumps(value), canonical_bytes(value).decode()):
        again = plan_from_json(json.loads(text))
        assert again == plan
        assert list(again.steps) == list(plan.steps)
        assert plan_digest(again) == plan_digest(plan)


@settings(max_examples=40)
@given(plan=plans, step=steps)
def test_the_digest_depends_on_every_step_and_on_their_order(plan, step):
    added = replace(plan, steps={**plan.steps, "new": replace(step, id="new")})
    turned = replace(plan, steps=dict(reversed(plan.steps.items())))

    assert plan_digest(added) != plan_digest(plan)
    assert (plan_digest(turned) == plan_digest(plan)) == (len(plan.steps) < 2)
    assert len(plan_digest(plan)) == 32


@settings(max_examples=40)
@given(plan=plans, title=texts)
def test_the_digest_depends_on_the_value_and_not_on_how_it_is_held(plan, title):
    copied = plan_from_json(plan_to_json(plan))
    shuffled = replace(plan, variables=dict(reversed(plan.variables.items())))

    assert plan_digest(copied) == plan_digest(plan)
    assert plan_digest(shuffled) == plan_digest(plan)
    assert (plan_digest(replace(plan, title=title)) == plan_digest(plan)) == (title == plan.title)
