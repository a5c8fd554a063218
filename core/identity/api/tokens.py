"""Who is asking, and with which keys. Read `TokenViewSet` first."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from core.identity.api.serializers import (
    NewTokenSerializer,
    PasswordTokenInput,
    PrincipalSerializer,
    TokenInput,
    TokenQuery,
    TokenSerializer,
)
from core.identity.domain.errors import PasswordTokensOffError
from core.identity.selectors import grants
from core.identity.services import passwords, sessions, tokens
from core.toolkit.api import conf, throttling
from core.toolkit.api.origin import read_request_id, read_source_address
from core.toolkit.api.pagination import read_page_query, respond_with_page
from core.toolkit.api.schema import operation
from core.toolkit.api.serializers import read_body, read_query
from core.toolkit.api.views import ApiViewSet, principal_of


class MeViewSet(ApiViewSet):
    """The caller."""

    @operation(operation_id="me_get", summary="Say who is asking", answer=PrincipalSerializer)
    def retrieve(self, request: Request) -> Response:
        """Return the account, the human behind it, and what the token lets through."""
        return Response(PrincipalSerializer(principal_of(request)).data)


class LogoutViewSet(ApiViewSet):
    """Signing out."""

    @operation(
        operation_id="auth_logout",
        summary="Sign out",
        answer=None,
        status=204,
    )
    def create(self, request: Request) -> Response:
        """End what the call came with: the token is revoked, or the browser's session ends.

        Sockets opened with it are closed at once; what else the account has stays.
        """
        principal = principal_of(request)
        if principal.token is not None:
            tokens.revoke_token(principal=principal, token_id=principal.token.id)
        else:
            sessions.end_session(principal=principal, session=request.session)
        return Response(status=204)


class TokenViewSet(ApiViewSet):
    """Tokens: one's own, and with `manage_tokens` everybody's."""

    @operation(
        operation_id="tokens_list",
        summary="List tokens",
        answer=TokenSerializer,
        query=TokenQuery,
        is_list=True,
    )
    def list(self, request: Request) -> Response:
        """Return live tokens without their secrets, newest first."""
        page = read_page_query(request, list_name="tokens")
        rows = grants.list_tokens(
            principal=principal_of(request),
            **read_query(request, TokenQuery),
            after=page.after_uuid(),
            limit=page.fetch_count,
        )
        return respond_with_page(
            request, query=page, rows=rows, key=lambda row: row.id, shape=TokenSerializer
        )

    @operation(
        operation_id="tokens_create",
        summary="Make a token",
        body=TokenInput,
        answer=NewTokenSerializer,
        status=201,
        errors=(403, 404, 409),
    )
    def create(self, request: Request) -> Response:
        """Make a token and show its secret, this once.

        People make their own, signed in: a token cannot make tokens for its own account. Tokens of
        services and agents take `manage_tokens`.
        """
        body = read_body(request, TokenInput)
        token, secret = tokens.create_token(
            principal=principal_of(request),
            name=body["name"],
            user_id=body["user_id"],
            permissions=body["permissions"],
            project_id=body["project_id"],
            lifetime=timedelta(seconds=body["lifetime_seconds"]),
        )
        return Response(NewTokenSerializer((grants.view_token(token), secret)).data, status=201)

    @operation(
        operation_id="tokens_revoke",
        summary="Revoke a token",
        answer=None,
        status=204,
        errors=(403, 404),
    )
    def destroy(self, request: Request, token_id: UUID) -> Response:
        """End a token: your own, or with `manage_tokens` anybody's."""
        tokens.revoke_token(principal=principal_of(request), token_id=token_id)
        return Response(status=204)


class PasswordTokenViewSet(ApiViewSet):
    """Passwords for tokens, where the deployment allows it."""

    authentication_classes: Sequence[type[BaseAuthentication]] = ()
    permission_classes: Sequence[type[BasePermission]] = (AllowAny,)

    @operation(
        operation_id="auth_token",
        summary="Exchange a password for a token",
        body=PasswordTokenInput,
        answer=NewTokenSerializer,
        status=201,
        errors=(404, 409),
        is_public=True,
    )
    def create(self, request: Request) -> Response:
        """Make a token with a password; only where the deployment's setting allows it."""
        if not conf.allows_password_tokens():
            raise PasswordTokensOffError
        body = read_body(request, PasswordTokenInput)
        address = read_source_address(request._request)  # noqa: SLF001  # DRF's way in
        throttling.require_login_turns(address=address, username=body["username"])
        token, secret = passwords.exchange_password(
            username=body["username"],
            password=body["password"],
            name=body["name"],
            lifetime=timedelta(seconds=body["lifetime_seconds"]),
            request_id=read_request_id(request._request),  # noqa: SLF001  # DRF's way in
            source_address=address,
        )
        return Response(NewTokenSerializer((grants.view_token(token), secret)).data, status=201)
