"""Shapes of approval requests and decisions, in and out."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from approvals.models import RequestStatus
from approvals.selectors.requests import View
from approvals.selectors.views import RequestDetail, RequestSummary
from core.kernel import limits
from core.toolkit.api.serializers import FlagField, InputSerializer, OutputSerializer, TextField

# --- in ----------------------------------------------------------------------------------------


class DecisionInput(InputSerializer):
    """One person's decision."""

    decision = TextField(
        help_text="approve or reject; of a question (kind: question) retry, skip or fail."
    )
    digest = TextField(
        required=False,
        default="",
        allow_blank=True,
        max_length=200,
        help_text="The digest the request showed; or send it as If-Match. Without either: 428.",
    )
    stage = TextField(
        required=False,
        default="",
        allow_blank=True,
        max_length=200,
        help_text="Key of the stage that was shown as open.",
    )
    comment = TextField(
        required=False,
        default="",
        allow_blank=True,
        max_length=limits.REASON_CHARS_MAX,
        help_text="Needed to reject and to skip.",
    )
    form = serializers.DictField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Values of the form; left out, those of the first approval stay.",
    )
    confirmed = FlagField(
        required=False, default=False, help_text="Whether the confirmation was ticked."
    )


class RequestQuery(InputSerializer):
    """What a list of requests is narrowed to."""

    view = serializers.ChoiceField(
        required=False,
        default=View.MINE.value,
        choices=[item.value for item in View],
        help_text="mine: those you can decide now; all; decided: closed ones.",
    )
    project = serializers.CharField(
        required=False, source="project_slug", help_text="Slug of a project."
    )
    workflow = serializers.CharField(
        required=False, source="workflow_slug", help_text="Slug of a workflow."
    )
    run_id = serializers.UUIDField(required=False)
    status = serializers.ChoiceField(required=False, choices=[item.value for item in RequestStatus])
    kind = serializers.CharField(required=False, help_text="deploy, payment, …, question.")
    risk = serializers.CharField(required=False, help_text="low, medium or high.")
    requester = serializers.CharField(required=False, help_text="Name of an account.")


# --- out ---------------------------------------------------------------------------------------


class AmountSerializer(OutputSerializer):
    """An amount of money."""

    value = serializers.IntegerField(help_text="In minor units, such as cents.")
    currency = serializers.CharField()


class RequestSerializer(OutputSerializer):
    """An approval request, as lists show it."""

    id = serializers.UUIDField()
    number = serializers.IntegerField(help_text="For people.")
    title = serializers.CharField()
    kind = serializers.CharField(
        help_text="deploy, payment, …; question: what becomes of a step that failed."
    )
    risk = serializers.CharField()
    amount = serializers.SerializerMethodField()
    status = serializers.CharField(help_text="open or closed.")
    outcome = serializers.CharField(
        help_text="How it ended, of a question its answer; empty while it is open."
    )
    closure = serializers.CharField(help_text="decision, time or void; empty while it is open.")
    blocked = serializers.BooleanField(
        help_text="Whether too few people could decide when that was last looked at."
    )
    project = serializers.CharField(source="project_slug")
    workflow = serializers.CharField(source="workflow_slug")
    run_id = serializers.UUIDField(allow_null=True)
    run_number = serializers.IntegerField(allow_null=True)
    step_key = serializers.CharField()
    requester = serializers.CharField(help_text="Name of the account that asked.")
    requester_name = serializers.CharField()
    requester_kind = serializers.CharField()
    round = serializers.IntegerField()
    stage = serializers.CharField(allow_null=True, help_text="Key of the open stage.")
    approval_count = serializers.IntegerField(help_text="Approvals in the open stage.")
    needed_count = serializers.IntegerField(help_text="Approvals the open stage needs.")
    opened_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    closed_by_name = serializers.CharField()

    @extend_schema_field(AmountSerializer(allow_null=True))
    def get_amount(self, request: RequestSummary) -> dict[str, Any] | None:
        """Return the amount, or `None` for a request about no money."""
        if request.amount_value is None:
            return None
        return {"value": request.amount_value, "currency": request.amount_currency}


class StageSerializer(OutputSerializer):
    """One stage of the current round."""

    key = serializers.CharField()
    status = serializers.CharField(
        help_text="waiting, open, approved, rejected, answered, skipped or ended."
    )
    approvers = serializers.CharField(help_text="Who may decide, in words.")
    needed_count = serializers.IntegerField()
    reject_count = serializers.IntegerField(help_text="Rejections that end it.")
    approval_count = serializers.IntegerField()
    rejection_count = serializers.IntegerField()
    opened_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)


class VoteSerializer(OutputSerializer):
    """One vote."""

    id = serializers.UUIDField()
    round = serializers.IntegerField()
    stage = serializers.CharField()
    decision = serializers.CharField()
    name = serializers.CharField(help_text="The voter's name at the time.")
    username = serializers.CharField()
    comment = serializers.CharField()
    at = serializers.DateTimeField()
    via = serializers.CharField()
    shown_digest = serializers.CharField(
        source="shown_digest_hex", help_text="What the voter had seen."
    )
    seq = serializers.IntegerField(help_text="Its entry's place in the request's ledger stream.")
    leaf = serializers.CharField(source="leaf_hex", help_text="That entry's hash.")


class UndeliveredSerializer(OutputSerializer):
    """A notice that was given up after several tries, or refused for good."""

    event = serializers.CharField(help_text="What somebody was to be told.")
    channel = serializers.CharField()
    username = serializers.CharField(help_text="Who was not told.")
    name = serializers.CharField()
    attempt_count = serializers.IntegerField()
    at = serializers.DateTimeField(help_text="When the notice was written.")


class ChoiceSerializer(OutputSerializer):
    """One thing that can be decided."""

    choice = serializers.CharField(help_text="What a decision sends.")
    consequence = serializers.CharField(help_text="What follows from it, in words.")


class RequestDetailSerializer(RequestSerializer):
    """A request with what is to be decided, by what rule, and what was decided so far."""

    digest = serializers.CharField(
        source="digest_hex", help_text="What a decision sends back; also the answer's ETag."
    )
    subject = serializers.DictField(help_text="What is to be decided.")
    if_approved = serializers.CharField(help_text="Empty for a question.")
    if_rejected = serializers.CharField(help_text="Empty for a question.")
    choices = ChoiceSerializer(many=True, help_text="What can be decided.")
    confirm = serializers.CharField(help_text="Text of a box to tick; empty for none.")
    form_schema = serializers.DictField(allow_null=True, help_text="JSON Schema of the form.")
    form_values = serializers.DictField(
        allow_null=True, help_text="What the first approval gave; null before it."
    )
    rule = serializers.DictField(help_text="As frozen when the request opened.")
    rule_words = serializers.ListField(child=serializers.CharField())
    notes = serializers.ListField(
        child=serializers.CharField(), help_text="What went wrong while it opened."
    )
    is_four_eyes = serializers.BooleanField()
    stages = StageSerializer(many=True)
    votes = VoteSerializer(many=True)
    undelivered = UndeliveredSerializer(many=True, help_text="Who could not be told of it.")
    run_title = serializers.CharField()
    version_rev = serializers.IntegerField(allow_null=True)
    version_digest = serializers.CharField(source="version_digest_hex")
    seq = serializers.IntegerField()
    head = serializers.CharField(source="head_hex")

    def to_representation(self, instance: RequestDetail) -> dict[str, Any]:
        """Return the summary's fields and the details side by side."""
        return {
            **RequestSerializer(instance.summary).data,
            "digest": instance.digest_hex,
            "subject": instance.subject,
            "if_approved": instance.if_approved,
            "if_rejected": instance.if_rejected,
            "choices": ChoiceSerializer(instance.choices, many=True).data,
            "confirm": instance.confirm,
            "form_schema": instance.form_schema,
            "form_values": instance.form_values,
            "rule": instance.rule,
            "rule_words": instance.rule_words,
            "notes": instance.notes,
            "is_four_eyes": instance.is_four_eyes,
            "stages": StageSerializer(instance.stages, many=True).data,
            "votes": VoteSerializer(instance.votes, many=True).data,
            "undelivered": UndeliveredSerializer(instance.undelivered, many=True).data,
            "run_title": instance.run_title,
            "version_rev": instance.version_rev,
            "version_digest": instance.version_digest_hex,
            "seq": instance.seq,
            "head": instance.head_hex,
        }


class DecisionSerializer(OutputSerializer):
    """What a decision led to."""

    request_id = serializers.UUIDField()
    number = serializers.IntegerField()
    round = serializers.IntegerField()
    stage = serializers.CharField()
    decision = serializers.CharField()
    status = serializers.CharField(help_text="The request's, after this vote.")
    outcome = serializers.CharField(help_text="The request's; empty while it is open.")
    stage_status = serializers.CharField()
    approval_count = serializers.IntegerField()
    needed_count = serializers.IntegerField()
    vote_id = serializers.UUIDField()
    at = serializers.DateTimeField()
    replayed = serializers.BooleanField(
        help_text="Whether this had counted before; everything else is then the first answer."
    )


class RuleFactSerializer(OutputSerializer):
    """One rule and what was found for the caller."""

    rule = serializers.CharField()
    holds = serializers.BooleanField(help_text="Whether it does not stand in the way.")
    sentence = serializers.CharField()


class DeciderSerializer(OutputSerializer):
    """Somebody who may decide now."""

    username = serializers.CharField()
    name = serializers.CharField()


class ExplanationSerializer(OutputSerializer):
    """Why the caller may or may not decide, and who may."""

    request_id = serializers.UUIDField()
    number = serializers.IntegerField()
    is_eligible = serializers.BooleanField()
    reason = serializers.CharField()
    facts = RuleFactSerializer(many=True)
    stage = serializers.CharField(allow_null=True)
    deciders = DeciderSerializer(many=True)
    is_blocked = serializers.BooleanField(
        help_text="Whether the stage cannot be approved with those who may decide now."
    )
