"""Shapes of running runs again, in and out."""

from rest_framework import serializers

from core.kernel import limits
from core.toolkit.api.serializers import (
    InputSerializer,
    OutputSerializer,
    TextField,
    WholeNumberField,
)
from engine.domain.rerunning import Why

# --- in ----------------------------------------------------------------------------------------


class ForeseeInput(InputSerializer):
    """What is to be run again."""

    step = TextField(
        required=False,
        allow_null=True,
        default=None,
        max_length=limits.STEP_KEY_CHARS_MAX,
        help_text="Key or id of the step, or of the state, to begin from; null for everything.",
    )
    inputs = serializers.DictField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Other inputs, all of them; null keeps those of the run. Makes it a fork.",
    )
    rev = WholeNumberField(
        required=False,
        allow_null=True,
        default=None,
        min_value=1,
        max_value=2**31 - 1,
        help_text="Another published version; null keeps that of the run. Makes it a fork.",
    )


class RerunInput(ForeseeInput):
    """What is to be run again, and why."""

    reason = TextField(max_length=limits.REASON_CHARS_MAX, help_text="For the record.")


# --- out ---------------------------------------------------------------------------------------


class TakenSerializer(OutputSerializer):
    """A step whose recorded end is taken over."""

    key = serializers.CharField()
    outcome = serializers.CharField(help_text="Empty for a state without a step.")


class AgainSerializer(OutputSerializer):
    """A step that is executed again."""

    key = serializers.CharField()
    why = serializers.ChoiceField(
        choices=[item.value for item in Why],
        help_text="`chosen`; `depends`: on one that is executed again; `approval`: it is or holds "
        "one that something executed again depends on; `not-done`: it did not end well; `undone`: "
        "it was compensated; `handed-over`: another run answers for undoing it; `changed`: its "
        "definition is another; `inputs`: it reads what is different now; `too-large`.",
    )
    because = serializers.CharField(help_text="Key of the step that leads to it, or empty.")
    asks_people = serializers.BooleanField(
        source="is_gate", help_text="Whether it is an approval or holds one: people are asked."
    )


class ForeseenSerializer(OutputSerializer):
    """What running a run again would do."""

    rev = serializers.IntegerField(help_text="The version the new run would have.")
    start = serializers.CharField(
        source="rerun.start", help_text="Of a state machine, the visit it begins with."
    )
    taken_over = TakenSerializer(source="rerun.taken", many=True)
    runs_again = AgainSerializer(source="rerun.again", many=True)
    changed_inputs = serializers.ListField(
        child=serializers.CharField(), help_text="Names of the inputs that differ."
    )
    changed_steps = serializers.ListField(
        child=serializers.CharField(),
        help_text="Ids of the steps that differ, or read what does.",
    )
