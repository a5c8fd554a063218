"""Addresses of identity under /api/v1/."""

from core.identity.api.access import AssignmentViewSet, ProjectViewSet, RoleViewSet
from core.identity.api.accounts import GroupViewSet, MemberViewSet, UserViewSet
from core.identity.api.tokens import (
    LogoutViewSet,
    MeViewSet,
    PasswordTokenViewSet,
    TokenViewSet,
)
from core.toolkit.api.routing import route

_USER = "users/<uuid:user_id>/"
_GROUP = "groups/<int:group_id>/"
_PROJECT = "projects/<slug:project>/"
_ASSIGNMENT = "assignments/<uuid:assignment_id>/"
_LIST = {"get": "list", "post": "create"}
_MEMBER = {"put": "update", "delete": "destroy"}

urlpatterns = [
    *route("me/", MeViewSet, {"get": "retrieve"}, name="api-me"),
    *route("auth/token/", PasswordTokenViewSet, {"post": "create"}, name="api-auth-token"),
    *route("auth/logout/", LogoutViewSet, {"post": "create"}, name="api-logout"),
    *route("tokens/", TokenViewSet, _LIST, name="api-tokens"),
    *route("tokens/<uuid:token_id>/", TokenViewSet, {"delete": "destroy"}, name="api-token"),
    *route("users/", UserViewSet, _LIST, name="api-users"),
    *route(_USER, UserViewSet, {"get": "retrieve", "patch": "partial_update"}, name="api-user"),
    *route(f"{_USER}deactivate/", UserViewSet, {"post": "deactivate"}, name="api-user-deactivate"),
    *route(f"{_USER}activate/", UserViewSet, {"post": "activate"}, name="api-user-activate"),
    *route(f"{_USER}sessions/", UserViewSet, {"delete": "end_sessions"}, name="api-user-sessions"),
    *route("machines/", UserViewSet, {"post": "create_machine"}, name="api-machines"),
    *route("groups/", GroupViewSet, _LIST, name="api-groups"),
    *route(_GROUP, GroupViewSet, {"get": "retrieve"}, name="api-group"),
    *route(f"{_GROUP}members/", MemberViewSet, {"get": "list"}, name="api-members"),
    *route(f"{_GROUP}members/<uuid:user_id>/", MemberViewSet, _MEMBER, name="api-member"),
    *route("projects/", ProjectViewSet, _LIST, name="api-projects"),
    *route(
        _PROJECT,
        ProjectViewSet,
        {"get": "retrieve", "patch": "partial_update"},
        name="api-project",
    ),
    *route(
        f"{_PROJECT}shares/",
        ProjectViewSet,
        {"get": "list_shares", "post": "share"},
        name="api-shares",
    ),
    *route(
        f"{_PROJECT}shares/revoke/", ProjectViewSet, {"post": "unshare"}, name="api-share-revoke"
    ),
    *route("roles/", RoleViewSet, {"get": "list"}, name="api-roles"),
    *route("assignments/", AssignmentViewSet, _LIST, name="api-assignments"),
    *route(_ASSIGNMENT, AssignmentViewSet, {"get": "retrieve"}, name="api-assignment"),
    *route(
        f"{_ASSIGNMENT}revoke/", AssignmentViewSet, {"post": "revoke"}, name="api-assignment-revoke"
    ),
]
