"""Named secrets over HTTP: set and deleted, never read. Read `SecretViewSet`."""

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.kernel import limits
from core.toolkit.api.pagination import read_page_query, respond_with_page
from core.toolkit.api.schema import operation
from core.toolkit.api.serializers import InputSerializer, OutputSerializer, TextField, read_body
from core.toolkit.api.views import ApiViewSet, principal_of
from engine.selectors import secrets as selectors
from engine.services import secrets


class SecretValueInput(InputSerializer):
    """A secret's new value."""

    value = TextField(
        trim_whitespace=False,
        max_length=limits.SECRET_CHARS_MAX,
        write_only=True,
        help_text=f"At least {limits.SECRET_CHARS_MIN} characters. It is never shown again.",
    )
    description = TextField(
        required=False,
        allow_blank=True,
        max_length=limits.SECRET_LINE_CHARS_MAX,
        help_text="What it is for; without it the old one stays. No secret itself.",
    )


class ProjectSecretSerializer(OutputSerializer):
    """A secret without its value."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField()
    number = serializers.IntegerField(help_text="How often it was set.")
    created_at = serializers.DateTimeField()
    changed_at = serializers.DateTimeField(help_text="When its value was last set.")
    changed_by = serializers.CharField(allow_null=True, help_text="Who set it last.")
    used_by = serializers.ListField(
        child=serializers.CharField(),
        help_text="Slugs of workflows whose live version names it, as far as you may see them.",
    )


class SecretViewSet(ApiViewSet):
    """Secrets of one project."""

    @operation(
        operation_id="secrets_list",
        summary="List a project's secrets",
        answer=ProjectSecretSerializer,
        is_list=True,
        errors=(404,),
    )
    def list(self, request: Request, project: str) -> Response:
        """Return the names and ages of a project's secrets, by name, without their values."""
        page = read_page_query(request, list_name=f"secrets:{project}")
        rows = selectors.list_secrets(
            principal=principal_of(request),
            project_slug=project,
            after=page.after_text(),
            limit=page.fetch_count,
        )
        return respond_with_page(
            request, query=page, rows=rows, key=lambda row: row.name, shape=ProjectSecretSerializer
        )

    @operation(
        operation_id="secrets_set",
        summary="Set a secret",
        body=SecretValueInput,
        answer=ProjectSecretSerializer,
        errors=(403, 404, 409),
    )
    def set(self, request: Request, project: str, name: str) -> Response:
        """Set a secret's value, and make the secret if there is none of that name.

        Attempts that begin from now on use it. Takes `change_project` or `manage_integrations`.
        """
        body = read_body(request, SecretValueInput)
        secret = secrets.set_secret(
            principal=principal_of(request),
            project_slug=project,
            name=name,
            value=body["value"],
            description=body.get("description"),
        )
        return Response(ProjectSecretSerializer(secret).data)

    @operation(
        operation_id="secrets_delete",
        summary="Delete a secret",
        answer=None,
        status=204,
        errors=(403, 404),
    )
    def destroy(self, request: Request, project: str, name: str) -> Response:
        """Delete a secret; steps that need it fail with `secret.missing` from now on."""
        secrets.delete_secret(principal=principal_of(request), project_slug=project, name=name)
        return Response(status=204)
