"""Tables of people, teams, scopes, roles and tokens. Read `User`, `Scope`, `RoleAssignment` first.

A team is Django's `Group`. Every account leads to one `Person`: itself, or the owner of a service
account or agent. Rows change only through `core.identity.services`.
"""

from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import Group, PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.crypto import salted_hmac
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase
from knox.models import AbstractAuthToken

from core.identity.domain.names import ROLE_SLUG_PATTERN, SLUG_PATTERN, USERNAME_PATTERN
from core.identity.domain.permissions import SHAREABLE, Permission, ScopeKind
from core.kernel import ids, limits
from core.kernel.record import ActorKind

_ACCOUNT_KINDS = [ActorKind.PERSON.value, ActorKind.SERVICE.value, ActorKind.AGENT.value]


class Person(models.Model):
    """A human. One vote per human, and separation of duties, count by this row."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    name = models.CharField(max_length=limits.TITLE_CHARS_MAX)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    """Makes accounts for fixtures and Django's own commands.

    People and machines are made by `core.identity.services.people`, which asks for permission and
    puts it on record.
    """

    def get_by_natural_key(self, username: str | None) -> "User":
        """Return the account of that name; names are kept in lower case, typing is not."""
        return super().get_by_natural_key((username or "").lower())

    def create_user(self, username: str, password: str | None = None, **fields: Any) -> "User":
        """Store an account, for a new person unless `person` is given.

        Without a password the account cannot sign in.
        """
        name = fields.pop("name", "") or username
        if "person" not in fields and "person_id" not in fields:
            fields["person"] = Person.objects.create(name=name)
        fields.setdefault("kind", ActorKind.PERSON)
        user = self.model(username=username, name=name, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, username: str, password: str | None = None, **fields: Any) -> "User":
        """Store an account with Django's flags, for Django's own command.

        It has no access by that: neither `authorize` nor the console looks at them.
        """
        fields["is_staff"] = fields["is_superuser"] = True
        return self.create_user(username, password, **fields)


# `auth_token_set` comes from knox, which ships no types.
class User(AbstractBaseUser, PermissionsMixin):  # type: ignore[django-manager-missing]  # see above
    """An account that can act: a person's, a service's or an agent's.

    `person` is the human itself or the machine's owner. Accounts are deactivated, never deleted.
    `is_superuser`, `is_staff` and Django's own permissions count nowhere.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="accounts")
    kind = models.CharField(max_length=10, choices=[(kind, kind) for kind in _ACCOUNT_KINDS])
    username = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=limits.TITLE_CHARS_MAX)
    email = models.CharField(max_length=254, blank=True, default="")
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    # Part of what a session is bound to: a new number ends every session of the account.
    session_generation = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = UserManager()

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name", "email"]

    class Meta:
        default_permissions = ()
        constraints = (
            models.CheckConstraint(
                name="identity_user_kind_check", condition=Q(kind__in=_ACCOUNT_KINDS)
            ),
            models.CheckConstraint(
                name="identity_user_username_check", condition=Q(username__regex=USERNAME_PATTERN)
            ),
        )

    def __str__(self) -> str:
        return self.username

    def get_full_name(self) -> str:
        """Return the name people know the account by."""
        return self.name

    def get_short_name(self) -> str:
        """Return the name people know the account by; there is no shorter one."""
        return self.name

    def _get_session_auth_hash(self, secret: str | bytes | None = None) -> str:
        # Django binds a session to the password alone. Ours ends with the generation too.
        return salted_hmac(
            "core.identity.models.User.session",
            f"{self.session_generation}:{self.password}",
            secret=secret,
            algorithm="sha256",
        ).hexdigest()


class Scope(models.Model):
    """A place where a role holds: everywhere, one project, or one workflow.

    One-to-one with a project here and with a workflow in the engine, so that this package never
    has to name a workflow.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    kind = models.CharField(max_length=10, choices=[(kind.value, kind.value) for kind in ScopeKind])
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="children"
    )

    class Meta:
        default_permissions = ()
        constraints = (
            models.CheckConstraint(
                name="identity_scope_kind_parent_check",
                condition=Q(kind=ScopeKind.GLOBAL.value, parent__isnull=True)
                | Q(
                    kind__in=[ScopeKind.PROJECT.value, ScopeKind.WORKFLOW.value],
                    parent__isnull=False,
                ),
            ),
            models.CheckConstraint(
                name="identity_scope_parent_id_check",
                condition=Q(parent__isnull=True) | ~Q(parent_id=F("id")),
            ),
            models.UniqueConstraint(
                name="identity_scope_kind_uniq",
                fields=["kind"],
                condition=Q(kind=ScopeKind.GLOBAL.value),
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class Project(models.Model):
    """What owns workflows, and the usual place to give people roles."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    slug = models.CharField(max_length=limits.SLUG_CHARS_MAX, unique=True)
    title = models.CharField(max_length=limits.TITLE_CHARS_MAX)
    scope = models.OneToOneField(Scope, on_delete=models.PROTECT, related_name="project")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ()
        # What can be shared on one project through the tables below; guardian needs rows for it.
        permissions = tuple((item.value, item.value) for item in SHAREABLE)
        constraints = (
            models.CheckConstraint(
                name="identity_project_slug_check", condition=Q(slug__regex=SLUG_PATTERN)
            ),
        )

    def __str__(self) -> str:
        return self.slug


class Role(models.Model):
    """A named set of permissions. The slug never changes: it is part of audience keys."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    slug = models.CharField(max_length=40, unique=True)
    title = models.CharField(max_length=limits.TITLE_CHARS_MAX)
    builtin = models.BooleanField(default=False)

    class Meta:
        default_permissions = ()
        constraints = (
            models.CheckConstraint(
                name="identity_role_slug_check", condition=Q(slug__regex=ROLE_SLUG_PATTERN)
            ),
        )

    def __str__(self) -> str:
        return self.slug


class RolePermission(models.Model):
    """One permission a role holds."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    role = models.ForeignKey(Role, on_delete=models.CASCADE, related_name="permissions")
    permission = models.CharField(max_length=40)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                name="identity_rolepermission_role_permission_uniq", fields=["role", "permission"]
            ),
            models.CheckConstraint(
                name="identity_rolepermission_permission_check",
                condition=Q(permission__in=[item.value for item in Permission]),
            ),
        )

    def __str__(self) -> str:
        return self.permission


class RoleAssignmentQuerySet(models.QuerySet["RoleAssignment"]):
    """Filters of role assignments."""

    def live(self) -> "RoleAssignmentQuerySet":
        """Keep the assignments that have not expired by the database's clock."""
        return self.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=Now()))

    def of_user_itself(self, user_id: UUID) -> "RoleAssignmentQuerySet":
        """Keep what was assigned to an account directly."""
        return self.filter(user_id=user_id)

    def of_teams_of(self, user_id: UUID) -> "RoleAssignmentQuerySet":
        """Keep what was assigned to the teams an account is in."""
        return self.filter(group__user=user_id)

    def holding(self, permission: str) -> "RoleAssignmentQuerySet":
        """Keep the assignments whose role holds a permission."""
        return self.filter(role__permissions__permission=permission)


class RoleAssignment(models.Model):
    """A role given to an account or to a team, at one scope, for good or until an instant.

    `granted_by` is `None` where the platform itself granted it, from its command line.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    role = models.ForeignKey(Role, on_delete=models.PROTECT, related_name="assignments")
    user = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="assignments"
    )
    group = models.ForeignKey(
        Group, on_delete=models.PROTECT, null=True, blank=True, related_name="assignments"
    )
    scope = models.ForeignKey(Scope, on_delete=models.PROTECT, related_name="assignments")
    expires_at = models.DateTimeField(null=True, blank=True)
    granted_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    granted_at = models.DateTimeField(auto_now_add=True)
    reason = models.CharField(max_length=limits.REASON_CHARS_MAX, blank=True, default="")

    objects = RoleAssignmentQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        constraints = (
            models.CheckConstraint(
                name="identity_roleassignment_user_group_check",
                condition=Q(user__isnull=False, group__isnull=True)
                | Q(user__isnull=True, group__isnull=False),
            ),
            models.UniqueConstraint(
                name="identity_roleassignment_user_scope_role_uniq",
                fields=["user", "scope", "role"],
                condition=Q(user__isnull=False),
            ),
            models.UniqueConstraint(
                name="identity_roleassignment_group_scope_role_uniq",
                fields=["group", "scope", "role"],
                condition=Q(group__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return str(self.pk)


class ApiToken(AbstractAuthToken):  # type: ignore[misc]  # knox ships no types
    """A key of an account to the API. Only its digest is stored; the key is shown once.

    `permissions` is `None` for all of the account's, `project` is `None` for every project: a
    token narrows its account's access and never widens it.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="auth_token_set")
    digest = models.CharField(max_length=128, unique=True)
    expiry = models.DateTimeField()
    name = models.CharField(max_length=limits.TITLE_CHARS_MAX)
    permissions = ArrayField(models.CharField(max_length=40), null=True, blank=True)
    project = models.ForeignKey(
        Project, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    last_used_at = models.DateTimeField(null=True, blank=True)

    # Knox's manager returns a pair from `create`, which no other caller of `create` expects.
    objects: ClassVar[models.Manager["ApiToken"]] = models.Manager()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name


class ProjectUserShare(UserObjectPermissionBase):
    """One permission on one project, shared with an account; guardian's, by foreign key."""

    content_object = models.ForeignKey(Project, on_delete=models.CASCADE, db_column="project_id")

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                name="identity_projectusershare_user_permission_project_uniq",
                fields=["user", "permission", "content_object"],
            ),
        )


class ProjectGroupShare(GroupObjectPermissionBase):
    """One permission on one project, shared with a team; guardian's, by foreign key."""

    content_object = models.ForeignKey(Project, on_delete=models.CASCADE, db_column="project_id")

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                name="identity_projectgroupshare_group_permission_project_uniq",
                fields=["group", "permission", "content_object"],
            ),
        )
