"""Shapes of moving runs to another version, in and out."""

from rest_framework import serializers

from core.kernel import limits
from core.toolkit.api.serializers import (
    InputSerializer,
    OutputSerializer,
    TextField,
    WholeNumberField,
)

# --- in ----------------------------------------------------------------------------------------


class MoveInput(InputSerializer):
    """Which runs are to be moved where."""

    from_rev = WholeNumberField(
        min_value=1, max_value=2**31 - 1, help_text="The version they have now."
    )
    to_rev = WholeNumberField(
        min_value=1, max_value=2**31 - 1, help_text="The published version they are to have."
    )
    node_map = serializers.DictField(
        child=TextField(max_length=limits.STEP_KEY_CHARS_MAX),
        required=False,
        default=dict,
        help_text="Ids of outermost steps, or of states, that have another id in the new version.",
    )
    data_map = serializers.DictField(
        child=TextField(max_length=limits.EXPRESSION_CHARS_MAX),
        required=False,
        default=dict,
        help_text="Names of `vars` and CEL for them, over `inputs`, `vars`, `run`, `event`.",
    )
    runs = serializers.ListField(
        child=serializers.UUIDField(),
        required=False,
        allow_null=True,
        default=None,
        max_length=limits.MIGRATION_RUN_COUNT_MAX,
        help_text="These runs only; null for all open ones of the version.",
    )
    after = serializers.UUIDField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Only runs after this one: `after` of the answer before.",
    )


class MigrateInput(MoveInput):
    """Which runs are to be moved where, and why."""

    reason = TextField(max_length=limits.REASON_CHARS_MAX, help_text="For the record.")


# --- out ---------------------------------------------------------------------------------------


class ObstacleSerializer(OutputSerializer):
    """What keeps a run from moving."""

    code = serializers.CharField()
    message = serializers.CharField()
    key = serializers.CharField(help_text="Of the step it is about, or empty.")


class RunMoveSerializer(OutputSerializer):
    """What became, or would become, of a run."""

    id = serializers.UUIDField(source="run_id")
    number = serializers.IntegerField()
    title = serializers.CharField()
    moved = serializers.BooleanField(
        source="has_moved", help_text="Whether it has; in a preview always false."
    )
    obstacles = ObstacleSerializer(
        many=True, help_text="What keeps it from moving; empty if nothing does."
    )
    reset = serializers.ListField(
        child=serializers.CharField(), help_text="Keys of open approvals that are asked anew."
    )


class MigrationReportSerializer(OutputSerializer):
    """What became, or would become, of runs."""

    runs = RunMoveSerializer(many=True)
    after = serializers.UUIDField(
        allow_null=True, help_text="Send it to go on with the next runs; null: there are no more."
    )
