"""Accounts and teams over HTTP. Read `UserViewSet` first."""

from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from core.identity.api.serializers import (
    GroupInput,
    GroupSerializer,
    MachineInput,
    NewGroupSerializer,
    ReasonInput,
    UserChangeInput,
    UserInput,
    UserSerializer,
)
from core.identity.selectors import directory
from core.identity.services import groups, people
from core.kernel.record import ActorKind
from core.toolkit.api.pagination import read_page_query, respond_with_page
from core.toolkit.api.schema import operation
from core.toolkit.api.serializers import read_body
from core.toolkit.api.views import ApiViewSet, principal_of


class UserViewSet(ApiViewSet):
    """Accounts of people and machines."""

    @operation(
        operation_id="users_list", summary="List accounts", answer=UserSerializer, is_list=True
    )
    def list(self, request: Request) -> Response:
        """Return accounts by name: all of them to whoever manages access, else one's own."""
        page = read_page_query(request, list_name="users")
        rows = directory.list_users(
            principal=principal_of(request), after=page.after_text(), limit=page.fetch_count
        )
        return respond_with_page(
            request, query=page, rows=rows, key=lambda row: row.username, shape=UserSerializer
        )

    @operation(
        operation_id="users_create",
        summary="Make an account of a human",
        body=UserInput,
        answer=UserSerializer,
        status=201,
        errors=(403, 404, 409),
    )
    def create(self, request: Request) -> Response:
        """Make an account; it may do nothing until a role is assigned. Takes `manage_users`."""
        body = read_body(request, UserInput)
        user = people.create_user(
            principal=principal_of(request),
            username=body["username"],
            name=body["name"],
            email=body["email"],
            password=body["password"],
            person_id=body["person_id"],
        )
        return Response(UserSerializer(user).data, status=201)

    @operation(
        operation_id="machines_create",
        summary="Make an account of a service or an agent",
        body=MachineInput,
        answer=UserSerializer,
        status=201,
        errors=(403, 404, 409),
    )
    def create_machine(self, request: Request) -> Response:
        """Make an account that signs in with tokens only. Takes `manage_users`."""
        body = read_body(request, MachineInput)
        user = people.create_machine(
            principal=principal_of(request),
            username=body["username"],
            name=body["name"],
            kind=ActorKind(body["kind"]),
            owner_id=body["owner_id"],
        )
        return Response(UserSerializer(user).data, status=201)

    @operation(
        operation_id="users_get", summary="Get an account", answer=UserSerializer, errors=(404,)
    )
    def retrieve(self, request: Request, user_id: UUID) -> Response:
        """Return one account."""
        user = directory.get_user(principal=principal_of(request), user_id=user_id)
        return Response(UserSerializer(user).data)

    @operation(
        operation_id="users_change",
        summary="Change an account's name or address",
        body=UserChangeInput,
        answer=UserSerializer,
        errors=(403, 404),
    )
    def partial_update(self, request: Request, user_id: UUID) -> Response:
        """Change what an account is called and where its notices go. Takes `manage_users`."""
        body = read_body(request, UserChangeInput)
        user = people.change_user(
            principal=principal_of(request),
            user_id=user_id,
            name=body.get("name"),
            email=body.get("email"),
        )
        return Response(UserSerializer(user).data)

    @operation(
        operation_id="users_deactivate",
        summary="Close an account",
        body=ReasonInput,
        answer=None,
        status=204,
        errors=(403, 404),
    )
    def deactivate(self, request: Request, user_id: UUID) -> Response:
        """Close an account, its sessions, sockets and tokens. Takes `manage_users`."""
        body = read_body(request, ReasonInput)
        people.deactivate_user(
            principal=principal_of(request), user_id=user_id, reason=body["reason"]
        )
        return Response(status=204)

    @operation(
        operation_id="users_activate",
        summary="Open a closed account",
        body=ReasonInput,
        answer=None,
        status=204,
        errors=(403, 404),
    )
    def activate(self, request: Request, user_id: UUID) -> Response:
        """Open a closed account again, with the roles it still has. Takes `manage_users`."""
        body = read_body(request, ReasonInput)
        people.activate_user(
            principal=principal_of(request), user_id=user_id, reason=body["reason"]
        )
        return Response(status=204)

    @operation(
        operation_id="users_end_sessions",
        summary="End an account's browser sessions",
        answer=None,
        status=204,
        errors=(403, 404),
    )
    def end_sessions(self, request: Request, user_id: UUID) -> Response:
        """End every browser session of an account; one's own takes no permission."""
        people.end_sessions(principal=principal_of(request), user_id=user_id)
        return Response(status=204)


class GroupViewSet(ApiViewSet):
    """Teams."""

    @operation(
        operation_id="groups_list", summary="List teams", answer=GroupSerializer, is_list=True
    )
    def list(self, request: Request) -> Response:
        """Return teams by name: all of them to whoever manages access, else one's own."""
        page = read_page_query(request, list_name="groups")
        rows = directory.list_groups(
            principal=principal_of(request), after=page.after_text(), limit=page.fetch_count
        )
        return respond_with_page(
            request, query=page, rows=rows, key=lambda row: row.name, shape=GroupSerializer
        )

    @operation(
        operation_id="groups_create",
        summary="Make a team",
        body=GroupInput,
        answer=NewGroupSerializer,
        status=201,
        errors=(403, 409),
    )
    def create(self, request: Request) -> Response:
        """Make a team, empty and without roles. Takes `manage_users`."""
        body = read_body(request, GroupInput)
        group = groups.create_group(principal=principal_of(request), name=body["name"])
        return Response(NewGroupSerializer(group).data, status=201)

    @operation(
        operation_id="groups_get", summary="Get a team", answer=GroupSerializer, errors=(404,)
    )
    def retrieve(self, request: Request, group_id: int) -> Response:
        """Return one team."""
        group = directory.get_group(principal=principal_of(request), group_id=group_id)
        return Response(GroupSerializer(group).data)


class MemberViewSet(ApiViewSet):
    """Who is in a team."""

    @operation(
        operation_id="members_list",
        summary="List a team's members",
        answer=UserSerializer,
        is_list=True,
        errors=(404,),
    )
    def list(self, request: Request, group_id: int) -> Response:
        """Return the accounts in a team, by name, as far as the caller may see them."""
        page = read_page_query(request, list_name=f"members:{group_id}")
        rows = directory.list_users(
            principal=principal_of(request),
            group_id=group_id,
            after=page.after_text(),
            limit=page.fetch_count,
        )
        return respond_with_page(
            request, query=page, rows=rows, key=lambda row: row.username, shape=UserSerializer
        )

    @operation(
        operation_id="members_add",
        summary="Put an account into a team",
        answer=None,
        status=204,
        errors=(403, 404, 409),
    )
    def update(self, request: Request, group_id: int, user_id: UUID) -> Response:
        """Put an account into a team; it gets every role of the team. Takes `manage_users`."""
        groups.add_member(principal=principal_of(request), group_id=group_id, user_id=user_id)
        return Response(status=204)

    @operation(
        operation_id="members_remove",
        summary="Take an account out of a team",
        answer=None,
        status=204,
        errors=(403, 404),
    )
    def destroy(self, request: Request, group_id: int, user_id: UUID) -> Response:
        """Take an account out of a team, and the team's roles from it. Takes `manage_users`."""
        groups.remove_member(principal=principal_of(request), group_id=group_id, user_id=user_id)
        return Response(status=204)
