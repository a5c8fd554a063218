"""Shapes of ledger entries, in and out."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from audit.selectors.entries import LedgerEntry, LedgerEntryDetail
from core.toolkit.api.serializers import InputSerializer, OutputSerializer


class EntryQuery(InputSerializer):
    """What a list of entries is narrowed to."""

    stream = serializers.CharField(
        required=False, max_length=200, help_text="A stream's id, or its name: run:<id>, access."
    )
    kind = serializers.CharField(
        required=False, max_length=200, help_text="noun.verbed, such as vote.cast."
    )
    actor = serializers.CharField(
        required=False,
        max_length=200,
        help_text="Who acted: an id, an account's username, or part of a name.",
    )
    subject = serializers.CharField(
        required=False,
        max_length=500,
        help_text='What it is about: as entries have it, its id alone, or "Run 7", "A-3".',
    )
    project = serializers.CharField(
        required=False, max_length=200, help_text="Slug of a project; its workflows are covered."
    )
    leaf = serializers.CharField(
        required=False, max_length=64, help_text="An entry's hash in hex, or its first 6 or more."
    )
    scope_id = serializers.UUIDField(
        required=False, help_text="Scope of a project or workflow; exactly this one."
    )
    since = serializers.DateTimeField(required=False, help_text="Not before this instant.")
    until = serializers.DateTimeField(required=False, help_text="Before this instant.")


class ActorSerializer(OutputSerializer):
    """Who acted."""

    id = serializers.CharField(help_text="Opaque; an account's id, or system, or engine.")
    kind = serializers.CharField(help_text="person, service, agent or system.")


class EntrySerializer(OutputSerializer):
    """An entry of the ledger: what its hashed bytes say."""

    id = serializers.IntegerField()
    stream = serializers.UUIDField(source="view.stream")
    seq = serializers.IntegerField(source="view.seq", help_text="Its place in the stream, from 1.")
    leaf = serializers.CharField(source="leaf_hex", help_text="Its hash, 64 hex digits.")
    prev = serializers.SerializerMethodField(help_text="Hash of the entry before it.")
    kind = serializers.CharField(source="view.kind")
    at = serializers.DateTimeField(source="view.at")
    actor = ActorSerializer(source="view.actor")
    on_behalf_of = ActorSerializer(source="view.on_behalf_of", allow_null=True)
    via = serializers.CharField(source="view.via")
    auth = serializers.CharField(source="view.auth")
    request_id = serializers.CharField(source="view.request_id")
    subject = serializers.CharField(source="view.subject")
    version = serializers.CharField(source="view.version", help_text="Digest of the version.")
    scope_id = serializers.UUIDField(source="view.scope", allow_null=True)
    state_from = serializers.CharField(source="view.state_from")
    state_to = serializers.CharField(source="view.state_to")
    shown = serializers.CharField(source="view.shown", help_text="Digest of what was shown.")
    policy = serializers.CharField(source="view.policy", help_text="What the check said.")
    reason = serializers.CharField(source="view.reason")
    data = serializers.DictField(  # type: ignore[assignment]  # DRF takes fields off the class
        source="view.data"
    )
    commitments = serializers.SerializerMethodField(
        help_text="What the entry commits to, by name, 64 hex digits each."
    )

    def get_prev(self, entry: LedgerEntry) -> str:
        """Return the hash of the entry before it, in hex."""
        return entry.view.prev.hex()

    @extend_schema_field(serializers.DictField(child=serializers.CharField()))
    def get_commitments(self, entry: LedgerEntry) -> dict[str, str]:
        """Return the commitments in hex."""
        return {name: value.hex() for name, value in entry.view.commitments.items()}


class EntryDetailSerializer(EntrySerializer):
    """An entry with its exact bytes and the values it commits to."""

    body = serializers.CharField(
        help_text="The canonical bytes, as text: SHA-256 of a zero byte and these is `leaf`."
    )
    payloads = serializers.DictField(help_text="Values by name.")
    salts = serializers.DictField(
        child=serializers.CharField(), help_text="What opens the commitments, in hex."
    )
    erased = serializers.ListField(
        child=serializers.CharField(), help_text="Names of values that were redacted."
    )

    def to_representation(self, instance: LedgerEntryDetail) -> dict[str, Any]:
        """Return the entry's fields and its values side by side."""
        entry: Any = EntrySerializer(instance.entry)
        return {
            **entry.data,
            "body": instance.body,
            "payloads": instance.payloads,
            "salts": instance.salts,
            "erased": instance.erased,
        }
