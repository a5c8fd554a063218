"""The log over HTTP: its state, its tree heads, its proofs. Read `LogViewSet`."""

from typing import Any

from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.domain.receipts import FORMAT
from audit.selectors import log, proofs, receipts
from core.toolkit.api.pagination import read_page_query, respond_with_page
from core.toolkit.api.schema import operation
from core.toolkit.api.serializers import InputSerializer, OutputSerializer, read_query
from core.toolkit.api.views import ApiViewSet, principal_of

_SIZE_MAX = 2**63 - 1  # what the database counts to


class HeadSerializer(OutputSerializer):
    """A signed tree head."""

    size = serializers.IntegerField(help_text="Number of entries it is about.")
    root = serializers.CharField(  # type: ignore[assignment]  # DRF takes fields off the class
        source="root_hex", help_text="The tree's root, 64 hex digits."
    )
    note = serializers.CharField(help_text="The signed checkpoint (C2SP tlog-checkpoint).")
    at = serializers.DateTimeField(help_text="When it was signed.")


class LogKeySerializer(OutputSerializer):
    """A public key that ever signed tree heads."""

    key_id = serializers.CharField(help_text="8 hex digits.")
    name = serializers.CharField()
    vkey = serializers.CharField(help_text="The key's line (C2SP signed-note).")
    added_at = serializers.DateTimeField()


class AnchorSizeSerializer(OutputSerializer):
    """How far an anchor is, which keeps tree heads elsewhere."""

    name = serializers.CharField()
    kind = serializers.CharField()
    size = serializers.IntegerField(source="position", help_text="Of the last tree head it has.")
    state = serializers.CharField(help_text="going, stopped or disputed.")


class LogSerializer(OutputSerializer):
    """The log's state."""

    origin = serializers.CharField(
        source="log.origin", help_text="Its name; empty before anything was sealed."
    )
    head = HeadSerializer(source="log.head", allow_null=True, help_text="The newest tree head.")
    pending_count = serializers.IntegerField(
        source="log.pending_count", help_text="Entries that wait to be sealed."
    )
    pending_seconds = serializers.SerializerMethodField(
        help_text="How long the oldest of them has waited; 0 without one."
    )
    keys = LogKeySerializer(
        source="log.keys",
        many=True,
        help_text="For finding out which key signed. Which keys to trust comes from elsewhere.",
    )
    anchors = AnchorSizeSerializer(
        many=True,
        allow_null=True,
        help_text="Null for who may not read the whole ledger; more is at ledger/outward/.",
    )

    def get_pending_seconds(self, view: log.AnchoredLog) -> float:
        """Return the age in seconds."""
        age = view.log.pending_age
        return round(age.total_seconds(), 3) if age else 0.0


class ProofQuery(InputSerializer):
    """Which tree an entry is proved for."""

    size = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=_SIZE_MAX,
        help_text="Of a tree head that was signed; without it, the newest.",
    )


class InclusionSerializer(OutputSerializer):
    """That an entry is in the log."""

    entry_id = serializers.IntegerField()
    leaf = serializers.CharField(source="leaf_hex", help_text="The entry's hash, 64 hex digits.")
    index = serializers.IntegerField(help_text="Its place in the tree, from 0.")
    size = serializers.IntegerField(help_text="Of the tree.")
    path = serializers.ListField(
        child=serializers.CharField(),
        source="path_hex",
        help_text="Lowest first (RFC 9162 §2.1.3).",
    )
    root = serializers.CharField(  # type: ignore[assignment]  # DRF takes fields off the class
        source="root_hex", help_text="Where the path leads."
    )
    note = serializers.CharField(help_text="The checkpoint that signs size and root.")


class ConsistencyQuery(InputSerializer):
    """Which two trees."""

    first = serializers.IntegerField(min_value=0, max_value=_SIZE_MAX, help_text="The earlier.")
    second = serializers.IntegerField(min_value=0, max_value=_SIZE_MAX, help_text="The later.")


class ConsistencySerializer(OutputSerializer):
    """That one tree begins with an earlier one."""

    first = serializers.IntegerField()
    first_root = serializers.CharField(source="first_root_hex", help_text="64 hex digits.")
    second = serializers.IntegerField()
    second_root = serializers.CharField(source="second_root_hex", help_text="64 hex digits.")
    path = serializers.ListField(
        child=serializers.CharField(), source="path_hex", help_text="RFC 9162 §2.1.4."
    )


class OpeningSerializer(OutputSerializer):
    """What opens one commitment of an entry."""

    name = serializers.CharField()
    salt = serializers.CharField(help_text="64 hex digits.")
    value = serializers.CharField(help_text="The value as canonical JSON, in a text.")


class ReceiptSerializer(OutputSerializer):
    """An entry with its proof, to be checked anywhere: docs/reference/bundle.md has the format."""

    format = serializers.CharField(help_text=FORMAT)
    entry = serializers.CharField(help_text="The entry's exact bytes.")
    index = serializers.IntegerField()
    path = serializers.ListField(child=serializers.CharField())
    checkpoint = serializers.CharField(help_text="The signed note.")
    payloads = OpeningSerializer(many=True)


class LogViewSet(ApiViewSet):
    """The log, for those who hold `view_audit` somewhere."""

    @operation(
        operation_id="log_get",
        summary="Get the state of the log",
        answer=LogSerializer,
        errors=(404,),
    )
    def retrieve(self, request: Request) -> Response:
        """Return the newest tree head, the keys that ever signed, the anchors, and what waits."""
        found = log.get_anchored_log(principal=principal_of(request))
        return Response(LogSerializer(found).data)

    @operation(
        operation_id="log_heads_list",
        summary="List tree heads",
        answer=HeadSerializer,
        is_list=True,
        errors=(404,),
    )
    def heads(self, request: Request) -> Response:
        """Return the signed tree heads, newest first."""
        page = read_page_query(request, list_name="log-heads")
        rows = proofs.list_heads(
            principal=principal_of(request), after=page.after_number(), limit=page.fetch_count
        )
        return respond_with_page(
            request, query=page, rows=rows, key=lambda row: row.size, shape=HeadSerializer
        )

    @operation(
        operation_id="log_consistency_get",
        summary="Prove that a tree begins with an earlier one",
        answer=ConsistencySerializer,
        query=ConsistencyQuery,
        errors=(404, 409),
    )
    def consistency(self, request: Request) -> Response:
        """Return a consistency proof between two sizes, up to the newest tree head's."""
        wanted = read_query(request, ConsistencyQuery)
        proofs.require_log(principal=principal_of(request))
        return Response(ConsistencySerializer(proofs.prove_consistency(**wanted)).data)


class EntryProofViewSet(ApiViewSet):
    """Proofs of single entries, for those who may read them."""

    @operation(
        operation_id="entries_proof_get",
        summary="Prove that an entry is in the log",
        answer=InclusionSerializer,
        query=ProofQuery,
        errors=(404, 409),
    )
    def proof(self, request: Request, entry_id: int) -> Response:
        """Return the entry's inclusion proof.

        Before it is sealed 409 with `audit.not_sealed`; `Retry-After` says when to ask again.
        """
        found = proofs.prove_inclusion(
            principal=principal_of(request), entry_id=entry_id, **read_query(request, ProofQuery)
        )
        return Response(InclusionSerializer(found).data)

    @operation(
        operation_id="entries_receipt_get",
        summary="Download the receipt of an entry",
        answer=ReceiptSerializer,
        errors=(404, 409),
    )
    def receipt(self, request: Request, entry_id: int) -> HttpResponse:
        """Return the entry, its proof and what it commits to, as one file that proves itself.

        Before it is sealed 409 with `audit.not_sealed`; `Retry-After` says when to ask again.
        """
        data = receipts.get_receipt(principal=principal_of(request), entry_id=entry_id)
        return respond_with_receipt(data, name=f"receipt-entry-{entry_id}.json")


def respond_with_receipt(data: bytes, *, name: str) -> HttpResponse:
    """Return the answer with a receipt: its exact bytes, to be kept as a file."""
    headers: dict[str, Any] = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(data, content_type="application/json", headers=headers)
