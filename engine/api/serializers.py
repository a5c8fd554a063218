"""Shapes of workflows, versions and runs, in and out."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.kernel import limits
from core.toolkit.api.serializers import (
    FlagField,
    InputSerializer,
    OutputSerializer,
    ProblemItemSerializer,
    TextField,
    WholeNumberField,
)
from engine.domain.replaying import Divergence, ReplayNote
from engine.domain.state import Outcome, RunStatus, StepStatus
from engine.selectors.run_links import RunLink
from engine.selectors.runs import RunDetail
from engine.selectors.step_waits import WaitKind
from engine.selectors.workflows import VersionDetail

# --- in ----------------------------------------------------------------------------------------


class SourceInput(InputSerializer):
    """A definition to check."""

    source = TextField(  # type: ignore[assignment]  # DRF takes fields off the class
        trim_whitespace=False,
        max_length=limits.SOURCE_BYTES_MAX,
        help_text="The flow/v1 definition, as YAML.",
    )


class VersionInput(SourceInput):
    """A definition to save."""

    message = TextField(
        required=False,
        allow_blank=True,
        default="",
        max_length=limits.REASON_CHARS_MAX,
        help_text="What changed and why.",
    )


class StartInput(InputSerializer):
    """What a run is started with."""

    inputs = serializers.DictField(
        required=False, default=dict, help_text="Checked against the version's JSON Schema."
    )
    rev = WholeNumberField(
        required=False,
        allow_null=True,
        default=None,
        min_value=1,
        max_value=2**31 - 1,
        help_text="The version to run; without it the newest published one.",
    )

    priority = WholeNumberField(
        required=False,
        default=0,
        min_value=0,
        max_value=limits.PRIORITY_MAX,
        help_text="Of runs that wait for a worker, or for their turn in a group, higher ones go "
        "first. Over 0 takes the permission `operate_run`.",
    )


class CancelInput(InputSerializer):
    """Why a run is cancelled."""

    reason = TextField(
        required=False, allow_blank=True, default="", max_length=limits.REASON_CHARS_MAX
    )
    compensate = FlagField(
        required=False, default=False, help_text="Whether what has completed is undone before."
    )


class WorkflowQuery(InputSerializer):
    """What a list of workflows is narrowed to."""

    project = serializers.CharField(
        required=False, source="project_slug", help_text="Slug of a project."
    )


class StepQuery(InputSerializer):
    """What a list of steps is narrowed to."""

    inside = serializers.CharField(
        required=False,
        max_length=limits.STEP_KEY_CHARS_MAX,
        help_text="Key of a container: only the steps directly inside it.",
    )
    status = serializers.ChoiceField(
        required=False,
        choices=[item.value for item in StepStatus],
        help_text="Exactly this status.",
    )
    outcome = serializers.ChoiceField(
        required=False, choices=[item.value for item in Outcome], help_text="Exactly this outcome."
    )


class RunQuery(InputSerializer):
    """What a list of runs is narrowed to."""

    project = serializers.CharField(
        required=False, source="project_slug", help_text="Slug of a project."
    )
    workflow = serializers.CharField(
        required=False, source="workflow_slug", help_text="Slug of a workflow."
    )
    status = serializers.ChoiceField(
        required=False, choices=[item.value for item in RunStatus], help_text="Exactly this status."
    )
    outcome = serializers.ChoiceField(
        required=False, choices=[item.value for item in Outcome], help_text="Exactly this outcome."
    )
    initiator = serializers.CharField(required=False, help_text="Name of an account.")


# --- out ---------------------------------------------------------------------------------------


class LintSerializer(OutputSerializer):
    """What is wrong with a definition."""

    valid = serializers.BooleanField(
        help_text="Whether it could be saved: there may still be warnings."
    )
    problems = ProblemItemSerializer(
        many=True, help_text="Errors and warnings; `path` points into the definition."
    )


class WorkflowSerializer(OutputSerializer):
    """A workflow."""

    id = serializers.UUIDField()
    scope_id = serializers.UUIDField(help_text="Where roles on it are assigned.")
    project = serializers.CharField(source="project_slug")
    slug = serializers.CharField()
    title = serializers.CharField()
    created_at = serializers.DateTimeField()
    published_rev = serializers.IntegerField(
        allow_null=True, help_text="The newest published version; null if there is none."
    )
    published_at = serializers.DateTimeField(allow_null=True)
    latest_rev = serializers.IntegerField(help_text="The newest version, published or not.")
    open_run_count = serializers.IntegerField()


class VersionSerializer(OutputSerializer):
    """A version of a workflow; it never changes, but for its status."""

    id = serializers.UUIDField()
    project = serializers.CharField(source="project_slug")
    workflow = serializers.CharField(source="workflow_slug")
    rev = serializers.IntegerField()
    label = serializers.CharField()  # type: ignore[assignment]  # DRF takes fields off the class
    status = serializers.CharField(help_text="draft, published or retired.")
    digest = serializers.CharField(
        source="digest_hex", help_text="SHA-256 of the compiled plan, 64 hex digits."
    )
    source_digest = serializers.CharField(
        source="source_digest_hex", help_text="SHA-256 of the source text, 64 hex digits."
    )
    author = serializers.CharField(help_text="Name of the account.")
    message = serializers.CharField()
    created_at = serializers.DateTimeField()
    published_at = serializers.DateTimeField(allow_null=True)
    published_by = serializers.CharField(allow_null=True)


class DivergenceSerializer(serializers.Serializer[Divergence]):
    """The first entry of a run's record that does not replay."""

    seq = serializers.IntegerField(help_text="The number of the entry in its run's record.")
    kind = serializers.CharField(help_text="What the entry records.")
    expected = serializers.CharField(help_text="What followed from it.")
    found = serializers.CharField(help_text="What would follow with this version.")


class ReplayNoteSerializer(serializers.Serializer[ReplayNote]):
    """How open runs of other versions would fare with this one. They keep theirs."""

    open_count = serializers.IntegerField(
        help_text="Open runs of other versions; at most one more than are looked at."
    )
    replayed_count = serializers.IntegerField(
        help_text="How many of them were replayed with this version in the time there is."
    )
    diverging_count = serializers.IntegerField(help_text="How many of those would not replay.")
    first = DivergenceSerializer(allow_null=True, help_text="The first divergence; null if none.")


class VersionPreviewSerializer(OutputSerializer):
    """What the author of a version should know."""

    warnings = ProblemItemSerializer(
        many=True,
        help_text="What would keep its runs waiting with today's people; `path` points into the "
        "definition. None of it keeps the version from being published.",
    )
    replay = ReplayNoteSerializer(
        allow_null=True, help_text="Whether this version could take over runs that are open now."
    )


class PublishedVersionSerializer(VersionSerializer, VersionPreviewSerializer):
    """A version that was published, and what its author should know."""


class VersionDetailSerializer(VersionSerializer):
    """A version with its content."""

    source = serializers.CharField(  # type: ignore[assignment]  # DRF takes fields off the class
        help_text="The definition as it was written."
    )
    plan = serializers.JSONField(help_text="What was compiled from it.")
    inputs_schema = serializers.JSONField(help_text="JSON Schema 2020-12 of a run's inputs.")

    def to_representation(self, instance: VersionDetail) -> dict[str, Any]:
        """Return the version's fields and its content side by side."""
        return {
            **VersionSerializer(instance.version).data,
            "source": instance.source,
            "plan": instance.plan,
            "inputs_schema": instance.inputs_schema,
        }


class StartedRunSerializer(OutputSerializer):
    """A run that was asked for."""

    id = serializers.UUIDField(source="run_id")
    number = serializers.IntegerField()
    replayed = serializers.BooleanField(
        help_text="Whether an earlier request with the same idempotency key had started it."
    )


class RunSerializer(OutputSerializer):
    """A run, as lists show it."""

    id = serializers.UUIDField()
    number = serializers.IntegerField(help_text="For people; counts up over all workflows.")
    project = serializers.CharField(source="project_slug")
    workflow = serializers.CharField(source="workflow_slug")
    rev = serializers.IntegerField(source="version_rev")
    version_digest = serializers.CharField(source="version_digest_hex")
    title = serializers.CharField()
    status = serializers.CharField(
        help_text="READY, RUNNING, WAITING, PAUSED, HALTED or CLOSED; see `outcome` once closed."
    )
    outcome = serializers.CharField(help_text="How it ended; empty until it is closed.")
    initiator = serializers.CharField(help_text="Name of the account that started it.")
    created_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)
    priority = serializers.IntegerField(help_text="Of runs that wait, higher ones go first.")
    redacted_at = serializers.DateTimeField(
        allow_null=True, help_text="When values of it were erased; null if none were."
    )
    seq = serializers.IntegerField(help_text="How many entries its ledger stream has.")
    head = serializers.CharField(
        source="head_hex", help_text="Leaf hash of the newest entry, 64 hex digits."
    )


class StepErrorSerializer(OutputSerializer):
    """Why a step failed."""

    kind = serializers.CharField(source="error_kind")
    message = serializers.CharField(source="error_message")


class RunLinkSerializer(OutputSerializer):
    """Another run; all but its id is null if the caller may not see it."""

    id = serializers.UUIDField()
    number = serializers.IntegerField(allow_null=True)
    project = serializers.CharField(allow_null=True)
    workflow = serializers.CharField(allow_null=True)
    title = serializers.CharField(allow_null=True)
    status = serializers.CharField(allow_null=True)
    outcome = serializers.CharField(allow_null=True, help_text="Empty until it is closed.")

    def to_representation(self, instance: RunLink) -> dict[str, Any]:
        """Return the run, or its id alone."""
        seen = instance.is_visible
        return {
            "id": str(instance.id),
            "number": instance.number,
            "project": instance.project_slug if seen else None,
            "workflow": instance.workflow_slug if seen else None,
            "title": instance.title if seen else None,
            "status": instance.status if seen else None,
            "outcome": instance.outcome if seen else None,
        }


class StepWaitSerializer(OutputSerializer):
    """One thing a step waits for."""

    kind = serializers.ChoiceField(
        choices=[item.value for item in WaitKind],
        help_text="`mutex`, `circuit`, `rate`: a gate that lets nothing through; `retry`, `timer`, "
        "`turn`, `state`: time; `event`; `run`: the run it called; `people`, `question`: people; "
        "`queue`: a worker; `topic`: a program that does external tasks.",
    )
    name = serializers.CharField(
        help_text="Of the gate; the event's type; the called workflow; the verb by which people "
        "are asked; the queue's label; the topic; the state that follows. Empty if none is named."
    )
    until = serializers.DateTimeField(
        allow_null=True, help_text="When time ends it, or when it is looked at again."
    )
    correlate = serializers.DictField(help_text="What the event's data must hold.")
    run = RunLinkSerializer(
        allow_null=True,
        help_text="The run it called, or the one that holds the mutex; null if nobody does, or the "
        "caller may not see the one that does.",
    )
    run_step = serializers.CharField(
        source="key", help_text="Key of the step there that holds the mutex."
    )
    worker = serializers.CharField(help_text="Which program has the external task; empty if none.")
    since = serializers.DateTimeField(allow_null=True, help_text="When that program took it.")


class ProgressSerializer(OutputSerializer):
    """How far a group, race, map, matrix or loop has come."""

    total = serializers.IntegerField(
        help_text="How many instances there will be; 0 if nobody knows."
    )
    begun = serializers.IntegerField()
    open = serializers.IntegerField(help_text="Begun and not ended.")
    good = serializers.IntegerField(help_text="Ended well.")
    failed = serializers.IntegerField()


class StepSerializer(OutputSerializer):
    """A step of a run, an instance of what a container repeats, or a visit to a state."""

    key = serializers.CharField(
        help_text="Unique in the run: `scan#1`; `scan#1/item#3` is the third item of a map (`cell` "
        "of a matrix, `turn` of a loop); `review#2` the second visit to a state."
    )
    step = serializers.CharField(help_text="The step's id in the definition.")
    undoes = serializers.BooleanField(help_text="Whether it is the step's compensation.")
    verb = serializers.CharField(help_text="The action, or the verb, it executes.")
    status = serializers.CharField()
    outcome = serializers.CharField(allow_null=True)
    attempt = serializers.IntegerField()
    started_at = serializers.DateTimeField(allow_null=True)
    wake_at = serializers.DateTimeField(allow_null=True)
    outputs = serializers.DictField()
    error = serializers.SerializerMethodField()
    why = serializers.CharField(help_text="Why it ended as it did, where that needs a reason.")
    inside = serializers.CharField(
        source="parent", help_text="Key of the container it is in; empty if it is in none."
    )
    item = serializers.JSONField(
        help_text="What an instance is for: a map's item, or a matrix's combination; else null."
    )
    progress = ProgressSerializer(allow_null=True, help_text="Of a container that has opened.")
    mutex = serializers.CharField(help_text="The mutex it holds or waits for; empty for none.")
    child = serializers.UUIDField(allow_null=True, help_text="The run it started.")
    due_at = serializers.DateTimeField(
        allow_null=True,
        help_text="When it fails unless it is done, of a step with `timeout.total`.",
    )
    waits_for = StepWaitSerializer(
        source="waits", many=True, help_text="What it waits for now; any of them moves it on."
    )

    @extend_schema_field(StepErrorSerializer(allow_null=True))
    def get_error(self, step: Any) -> Any:
        """Return the step's error, or `None`."""
        return None if step.error_kind is None else StepErrorSerializer(step).data


class TurnSerializer(OutputSerializer):
    """A run's place in its concurrency group."""

    group = serializers.CharField()
    waiting = serializers.BooleanField(
        source="is_waiting", help_text="Whether it waits for its turn."
    )
    before_count = serializers.IntegerField(
        help_text=f"How many wait before it; of more than {limits.TURN_LOOK_COUNT_MAX}, so many."
    )
    going_count = serializers.IntegerField(
        help_text="How many go on while it waits; 0 if it does not wait."
    )
    going = RunLinkSerializer(many=True, help_text="Those of them that the caller may see.")


class RunDetailSerializer(RunSerializer):
    """A run with what its ledger stream tells."""

    inputs = serializers.JSONField(help_text="With the schema's defaults filled in.")
    outputs = serializers.DictField()
    steps = StepSerializer(
        many=True,
        help_text="Outer steps before what is inside them. Of what is repeated more than a hundred "
        "times, fifty instances and up to fifty that need a look.",
    )
    hidden_step_count = serializers.IntegerField(
        help_text="How many steps are left out here; `GET /runs/{run_id}/steps/` lists all."
    )
    parent = RunLinkSerializer(allow_null=True, help_text="The run that called it.")
    parent_step = serializers.CharField(
        help_text="Key of the step there that called it; empty if none did."
    )
    predecessor = RunLinkSerializer(
        allow_null=True, help_text="The run that ended as continued, where this one goes on."
    )
    successor = RunLinkSerializer(
        allow_null=True, help_text="The run that goes on where this one ended as continued."
    )
    rerun_of = RunLinkSerializer(
        allow_null=True, help_text="The run that this one is, run again or forked."
    )
    rerun_step = serializers.CharField(
        help_text="Key of the step there from which it was run again; empty for all of it."
    )
    reruns = RunLinkSerializer(
        many=True, help_text="The runs that are this one run again, oldest first; the first 20."
    )
    turn = TurnSerializer(
        allow_null=True, help_text="Its place in its concurrency group; null without one."
    )
    unreadable = serializers.CharField(
        help_text="Empty, or why the stream cannot be read, such as that it was redacted; inputs "
        "and steps are then empty."
    )

    def to_representation(self, instance: RunDetail) -> dict[str, Any]:
        """Return the run's fields and its steps side by side."""
        around = instance.relations
        return {
            **RunSerializer(instance.run).data,
            "inputs": instance.inputs,
            "outputs": instance.outputs,
            "steps": StepSerializer(instance.steps, many=True).data,
            "hidden_step_count": instance.hidden_step_count,
            "parent": _link(around.parent),
            "parent_step": around.parent_key,
            "predecessor": _link(around.predecessor),
            "successor": _link(around.successor),
            "rerun_of": _link(around.origin),
            "rerun_step": around.origin_key,
            "reruns": [_link(link) for link, _ in around.reruns],
            "turn": TurnSerializer(instance.turn).data if instance.turn else None,
            "unreadable": instance.unreadable,
        }


def _link(run: RunLink | None) -> dict[str, Any] | None:
    return None if run is None else RunLinkSerializer(run).data


class RunActorSerializer(OutputSerializer):
    """Who did something."""

    id = serializers.CharField(source="actor_id", help_text="Opaque; an account's id.")
    kind = serializers.CharField(source="actor_kind", help_text="person, service, agent, system.")


class RunEventSerializer(OutputSerializer):
    """One entry of a run's ledger stream."""

    seq = serializers.IntegerField(help_text="Its place in the stream, from 1.")
    kind = serializers.CharField(help_text="noun.verbed, such as run.started.")
    at = serializers.DateTimeField()
    actor = RunActorSerializer(source="*")
    via = serializers.CharField()
    leaf = serializers.CharField(source="leaf_hex", help_text="Its hash, 64 hex digits.")
    data = serializers.DictField(  # type: ignore[assignment]  # DRF takes fields off the class
        help_text="What is part of the hashed entry."
    )
    payloads = serializers.DictField(help_text="What the entry commits to.")
    erased = serializers.ListField(
        child=serializers.CharField(), help_text="Names of payloads that were redacted."
    )
