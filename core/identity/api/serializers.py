"""Shapes of accounts, teams, projects, roles and tokens, in and out."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.identity.domain.permissions import SHAREABLE, Permission
from core.identity.domain.principal import Principal
from core.kernel import limits
from core.kernel.record import ActorKind
from core.toolkit.api.serializers import (
    InputSerializer,
    OutputSerializer,
    TextField,
    WholeNumberField,
)

_DAY_SECONDS = 24 * 60 * 60
_PASSWORD_CHARS_MAX = 1_000  # hashing takes time with length; nobody types more
_GROUP_ID_MAX = 2**31 - 1
_LIFETIME_SECONDS_MAX = int(limits.TOKEN_LIFETIME_MAX.total_seconds())

# --- in ----------------------------------------------------------------------------------------


class PasswordTokenInput(InputSerializer):
    """A password to be exchanged for a token."""

    username = TextField(max_length=64)
    password = TextField(max_length=_PASSWORD_CHARS_MAX, trim_whitespace=False)
    name = TextField(
        required=False, default="password", help_text="What you will know the token by."
    )
    lifetime_seconds = WholeNumberField(
        required=False, default=_DAY_SECONDS, min_value=1, max_value=_LIFETIME_SECONDS_MAX
    )


class TokenInput(InputSerializer):
    """A token to make."""

    name = TextField(help_text="What its owner knows it by.")
    user_id = serializers.UUIDField(
        required=False,
        allow_null=True,
        default=None,
        help_text="The machine's account it is for; null for your own.",
    )
    permissions = serializers.ListField(
        child=TextField(),
        required=False,
        allow_null=True,
        default=None,
        max_length=len(Permission),
        help_text="What it lets through of the account's access; null for all of it.",
    )
    project_id = serializers.UUIDField(
        required=False,
        allow_null=True,
        default=None,
        help_text="The only project it reaches; null for all.",
    )
    lifetime_seconds = WholeNumberField(
        required=False,
        default=int(limits.TOKEN_LIFETIME_DEFAULT.total_seconds()),
        min_value=1,
        max_value=_LIFETIME_SECONDS_MAX,
    )


class UserInput(InputSerializer):
    """An account of a human to make."""

    username = TextField(help_text="a-z, 0-9, '.', '_' and '-'; never changes.")
    name = TextField(help_text="What people call the human.")
    email = TextField(required=False, default="", allow_blank=True)
    password = TextField(
        required=False,
        allow_null=True,
        default=None,
        trim_whitespace=False,
        max_length=_PASSWORD_CHARS_MAX,
        help_text="Null for an account that cannot sign in with one.",
    )
    person_id = serializers.UUIDField(
        required=False,
        allow_null=True,
        default=None,
        help_text="The human, if they have an account already; null for a new human.",
    )


class MachineInput(InputSerializer):
    """An account of a service or an agent to make."""

    username = TextField()
    name = TextField()
    kind = serializers.ChoiceField(choices=[ActorKind.SERVICE.value, ActorKind.AGENT.value])
    owner_id = serializers.UUIDField(help_text="The account of the human who answers for it.")


class UserChangeInput(InputSerializer):
    """What to change of an account; what is left out stays."""

    name = TextField(required=False)
    email = TextField(required=False, allow_blank=True)


class ReasonInput(InputSerializer):
    """Why something is done."""

    reason = TextField(
        required=False, default="", allow_blank=True, max_length=limits.REASON_CHARS_MAX
    )


class GroupInput(InputSerializer):
    """A team to make."""

    name = TextField(help_text="a-z, 0-9, '.', '_' and '-'; never changes.")


class ProjectInput(InputSerializer):
    """A project to make."""

    slug = TextField(help_text="Its name in addresses; never changes.")
    title = TextField(help_text="What people call it.")


class ProjectChangeInput(InputSerializer):
    """What to change of a project."""

    title = TextField()


class ShareInput(InputSerializer):
    """One permission on a project, for an account or a team."""

    permission = serializers.ChoiceField(choices=[item.value for item in SHAREABLE])
    user_id = serializers.UUIDField(required=False, allow_null=True, default=None)
    group_id = WholeNumberField(
        required=False, allow_null=True, default=None, min_value=1, max_value=_GROUP_ID_MAX
    )


class AssignmentInput(InputSerializer):
    """A role for an account or a team, at one scope."""

    role = TextField(help_text="The role's slug.")
    scope_id = serializers.UUIDField(
        required=False,
        allow_null=True,
        default=None,
        help_text="The `scope_id` of a project or workflow; null for everywhere.",
    )
    user_id = serializers.UUIDField(required=False, allow_null=True, default=None)
    group_id = WholeNumberField(
        required=False, allow_null=True, default=None, min_value=1, max_value=_GROUP_ID_MAX
    )
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="Null for good."
    )
    reason = TextField(
        required=False, default="", allow_blank=True, max_length=limits.REASON_CHARS_MAX
    )


class AssignmentQuery(InputSerializer):
    """What a list of assignments is narrowed to."""

    user_id = serializers.UUIDField(required=False)
    group_id = serializers.IntegerField(required=False, min_value=1, max_value=_GROUP_ID_MAX)
    scope_id = serializers.UUIDField(required=False)


class TokenQuery(InputSerializer):
    """What a list of tokens is narrowed to."""

    user_id = serializers.UUIDField(required=False)


# --- out ---------------------------------------------------------------------------------------


class TokenGrantSerializer(OutputSerializer):
    """What the token of a request lets through."""

    id = serializers.UUIDField()
    permissions = serializers.SerializerMethodField()
    project_id = serializers.UUIDField(allow_null=True)

    @extend_schema_field(serializers.ListField(child=serializers.CharField(), allow_null=True))
    def get_permissions(self, grant: Any) -> list[str] | None:
        """Return the permissions sorted, or `None` for all."""
        return None if grant.permissions is None else sorted(grant.permissions)


class PrincipalSerializer(OutputSerializer):
    """Who is asking."""

    user_id = serializers.UUIDField()
    person_id = serializers.UUIDField(help_text="The human behind the account.")
    username = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.CharField(help_text="person, service or agent.")
    auth = serializers.SerializerMethodField(help_text="token or session.")
    token = TokenGrantSerializer(allow_null=True)

    def get_auth(self, principal: Principal) -> str:
        """Return how the request proved who it is."""
        return principal.origin.auth


class TokenSerializer(OutputSerializer):
    """A token, without its secret."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    user_id = serializers.UUIDField()
    username = serializers.CharField()
    permissions = serializers.ListField(child=serializers.CharField(), allow_null=True)
    project = serializers.CharField(allow_null=True, help_text="Slug; null for every project.")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)


class NewTokenSerializer(TokenSerializer):
    """A token with its secret, which is shown this once."""

    token = serializers.CharField(help_text="Send it as `Authorization: Bearer …`.")

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the token's facts beside its secret."""
        facts, secret = instance
        return {**TokenSerializer(facts).data, "token": secret}


class UserSerializer(OutputSerializer):
    """An account."""

    id = serializers.UUIDField()
    person_id = serializers.UUIDField(help_text="The human it leads to.")
    kind = serializers.CharField(help_text="person, service or agent.")
    username = serializers.CharField()
    name = serializers.CharField()
    email = serializers.CharField()
    is_active = serializers.BooleanField()
    created_at = serializers.DateTimeField()


class NewGroupSerializer(OutputSerializer):
    """A team that was made."""

    id = serializers.IntegerField()
    name = serializers.CharField()


class GroupSerializer(NewGroupSerializer):
    """A team."""

    member_count = serializers.IntegerField()


class ProjectSerializer(OutputSerializer):
    """A project."""

    id = serializers.UUIDField()
    slug = serializers.CharField()
    title = serializers.CharField()
    scope_id = serializers.UUIDField(help_text="Where roles in it are assigned.")
    created_at = serializers.DateTimeField()


class ShareSerializer(OutputSerializer):
    """One permission on a project, given without a role."""

    permission = serializers.CharField()
    user_id = serializers.UUIDField(allow_null=True)
    username = serializers.CharField(allow_null=True)
    group_id = serializers.IntegerField(allow_null=True)
    group = serializers.CharField(allow_null=True)


class ShareListSerializer(OutputSerializer):
    """The shares of a project; there are few, so they do not page."""

    items = ShareSerializer(many=True)


class RoleSerializer(OutputSerializer):
    """A role."""

    id = serializers.UUIDField()
    slug = serializers.CharField()
    title = serializers.CharField()
    builtin = serializers.BooleanField()
    permissions = serializers.ListField(child=serializers.CharField())


class AssignmentSerializer(OutputSerializer):
    """A role given to an account or to a team."""

    id = serializers.UUIDField()
    role = serializers.CharField()
    scope_id = serializers.UUIDField()
    scope_kind = serializers.CharField(help_text="global, project or workflow.")
    project = serializers.CharField(allow_null=True, help_text="Slug of the scope's project.")
    user_id = serializers.UUIDField(allow_null=True)
    username = serializers.CharField(allow_null=True)
    group_id = serializers.IntegerField(allow_null=True)
    group = serializers.CharField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    granted_at = serializers.DateTimeField()
    granted_by = serializers.CharField(allow_null=True)
    reason = serializers.CharField()
