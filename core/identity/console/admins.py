"""What the console lists, and what can be done with each row. Read `make_site` first."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Count, Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from core.identity.console import forms
from core.identity.console.pages import ConsoleAdmin, Fact
from core.identity.console.places import find_place
from core.identity.console.site import ConsoleSite
from core.identity.models import ApiToken, Project, Role, RoleAssignment, RolePermission, User
from core.identity.selectors import grants
from core.kernel import limits
from core.toolkit.portal.words import say_count, say_instant


class UserAdmin(ConsoleAdmin):
    """Accounts, each with its human."""

    heading, noun = "People", "account"
    about = "Accounts of people, services and agents. They are closed, never deleted."
    adding = (forms.AddPerson, forms.AddMachine)
    changing = (forms.ChangeUser, forms.EndSessions, forms.CloseAccount, forms.OpenAccount)
    list_display = ("username", "name", "human", "kind", "email", "is_active")
    list_filter = ("kind", "is_active")
    list_select_related = ("person",)
    search_fields = ("username", "name", "email", "person__name")
    ordering = ("username",)

    @admin.display(description="Person")
    def human(self, row: User) -> str:
        """Return the human the account leads to."""
        return row.person.name

    def list_facts(self, row: User) -> list[Fact]:
        """Return the account, its human, and where its teams, roles and tokens are listed."""
        others = row.person.accounts.exclude(pk=row.pk).order_by("username")
        kind = {"person": "Person", "service": "Service", "agent": "Agent"}[row.kind]
        teams = list(row.groups.order_by("name"))
        return [
            Fact(label="Username", text=row.username),
            Fact(label="Kind", text=kind),
            Fact(label="Status", text="Open" if row.is_active else "Closed"),
            Fact(label="Person", text=row.person.name),
            *(
                Fact(
                    label="Other account of the person",
                    text=other.username,
                    url=reverse("admin:identity_user_change", args=(other.pk,)),
                )
                for other in others[: limits.PAGE_SIZE_DEFAULT]
            ),
            *(
                Fact(
                    label="Team",
                    text=team.name,
                    url=reverse("admin:auth_group_change", args=(team.pk,)),
                )
                for team in teams
            ),
            Fact(label="Roles", text="Roles given to it", url=_list_of("roleassignment", row)),
            Fact(label="Tokens", text="Its tokens", url=_list_of("apitoken", row)),
            Fact(label="Since", text=say_instant(row.created_at)),
        ]


class GroupAdmin(ConsoleAdmin):
    """Teams."""

    heading, noun = "Teams", "team"
    about = "A role given to a team is given to everybody in it."
    adding = (forms.AddGroup,)
    changing = (forms.AddMember, forms.RemoveMember)
    list_display = ("name", "members")
    search_fields = ("name",)
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        """Return teams with how many are in them."""
        rows: QuerySet[Group] = super().get_queryset(request)
        return rows.annotate(member_count=Count("user"))

    @admin.display(description="Members", ordering="member_count")
    def members(self, row: Any) -> int:
        """Return how many accounts are in it."""
        return int(row.member_count)

    def list_facts(self, row: Group) -> list[Fact]:
        """Return the team and who is in it."""
        users = User.objects.filter(groups=row).order_by("username")
        return [
            Fact(label="Name", text=row.name),
            Fact(label="Roles", text="Roles given to it", url=_list_of("roleassignment", row)),
            *(
                Fact(
                    label="Member",
                    text=f"{user.name} ({user.username})",
                    url=reverse("admin:identity_user_change", args=(user.pk,)),
                )
                for user in users[: limits.PAGE_SIZE_MAX]
            ),
        ]


class ProjectAdmin(ConsoleAdmin):
    """Projects."""

    heading, noun = "Projects", "project"
    about = "What owns workflows, and the usual place to give people roles."
    adding = (forms.AddProject,)
    changing = (forms.ChangeProject,)
    list_display = ("slug", "title", "since")
    search_fields = ("slug", "title")
    ordering = ("slug",)

    @admin.display(description="Since", ordering="created_at")
    def since(self, row: Project) -> str:
        """Return when it was made."""
        return say_instant(row.created_at)

    def list_facts(self, row: Project) -> list[Fact]:
        """Return the project."""
        url = reverse("admin:identity_roleassignment_changelist")
        return [
            Fact(label="Slug", text=row.slug),
            Fact(label="Title", text=row.title),
            Fact(
                label="Roles",
                text="Roles given in it",
                url=f"{url}?scope__id__exact={row.scope_id}",
            ),
            Fact(label="Since", text=say_instant(row.created_at)),
        ]


class RoleAdmin(ConsoleAdmin):
    """Roles, to read: what a role holds is changed by nobody while the platform runs."""

    heading, noun = "Roles", "role"
    about = "Named sets of permissions, to read. They are part of the installation."
    list_display = ("title", "slug", "permission_count", "builtin")
    list_filter = ("builtin",)
    search_fields = ("slug", "title", "permissions__permission")
    ordering = ("slug",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Role]:
        """Return roles with their permissions, sorted."""
        held = Prefetch("permissions", queryset=RolePermission.objects.order_by("permission"))
        return super().get_queryset(request).prefetch_related(held)

    @admin.display(description="Permissions")
    def permission_count(self, row: Role) -> str:
        """Return how many permissions it holds."""
        return say_count(len(row.permissions.all()), "permission")

    def name_of(self, row: Role) -> str:
        """Return its title."""
        return row.title

    def list_facts(self, row: Role) -> list[Fact]:
        """Return what it holds."""
        url = reverse("admin:identity_roleassignment_changelist")
        return [
            Fact(label="Slug", text=row.slug),
            Fact(label="Builtin", text="Yes" if row.builtin else "No"),
            Fact(
                label="Who has it",
                text="Its assignments",
                url=f"{url}?role__id__exact={row.pk}",
            ),
            *(Fact(label="Permission", text=item.permission) for item in row.permissions.all()),
        ]


class AssignmentAdmin(ConsoleAdmin):
    """Who has which role where."""

    heading, noun = "Role assignments", "role assignment"
    about = "Who has which role where, and until when."
    adding = (forms.AssignRole,)
    changing = (forms.RevokeAssignment,)
    list_display = ("holder", "role_title", "place", "ends", "granted_by", "given")
    list_filter = ("role", "scope__kind")
    list_select_related = (
        "role",
        "user",
        "group",
        "granted_by",
        "scope__project",
        "scope__parent__project",
    )
    search_fields = (
        "user__username",
        "user__name",
        "group__name",
        "role__slug",
        "scope__project__slug",
        "scope__parent__project__slug",
    )
    ordering = ("-id",)

    @admin.display(description="Who", ordering="user__username")
    def holder(self, row: RoleAssignment) -> str:
        """Return the account or the team."""
        return row.user.username if row.user is not None else f"the team {row.group}"

    @admin.display(description="Role", ordering="role__title")
    def role_title(self, row: RoleAssignment) -> str:
        """Return the role's title."""
        return row.role.title

    @admin.display(description="Where")
    def place(self, row: RoleAssignment) -> str:
        """Return the scope in words."""
        view = grants.view_assignment(row)
        words = {
            "global": "Everywhere",
            "project": f"Project {view.project}",
            "workflow": f"One workflow of {view.project}",
        }
        return words[view.scope_kind]

    @admin.display(description="Ends", ordering="expires_at")
    def ends(self, row: RoleAssignment) -> str:
        """Return when it ends."""
        return "never" if row.expires_at is None else say_instant(row.expires_at)

    @admin.display(description="Given", ordering="granted_at")
    def given(self, row: RoleAssignment) -> str:
        """Return since when."""
        return say_instant(row.granted_at)

    def name_of(self, row: RoleAssignment) -> str:
        """Return who has which role where."""
        place = self.place(row)
        return f"{row.role.title} for {self.holder(row)}, {place[:1].lower()}{place[1:]}"

    def list_facts(self, row: RoleAssignment) -> list[Fact]:
        """Return all of it."""
        by = row.granted_by.username if row.granted_by is not None else "the platform"
        return [
            Fact(label="Who", text=self.holder(row), url=_holder_page(row)),
            Fact(
                label="Role",
                text=row.role.title,
                url=reverse("admin:identity_role_change", args=(row.role_id,)),
            ),
            Fact(label="Where", text=find_place(scope_id=row.scope_id) or self.place(row)),
            Fact(label="Ends", text=self.ends(row)),
            Fact(label="Given by", text=by),
            Fact(label="Given", text=self.given(row)),
            Fact(label="Reason", text=row.reason or "—"),
        ]


class TokenAdmin(ConsoleAdmin):
    """Keys to the API, without their secrets."""

    heading, noun = "API tokens", "token"
    about = "Keys to the API. A secret is shown once, to whoever makes the token."
    adding = (forms.AddToken,)
    changing = (forms.RevokeToken,)
    list_display = ("name", "account", "reaches", "lets_through", "ends", "used")
    list_filter = ("user__kind",)
    list_select_related = ("user", "project", "created_by")
    search_fields = ("name", "user__username", "project__slug")
    ordering = ("-id",)

    @admin.display(description="Account", ordering="user__username")
    def account(self, row: ApiToken) -> str:
        """Return whose it is."""
        username: str = row.user.username
        return username

    @admin.display(description="Reaches")
    def reaches(self, row: ApiToken) -> str:
        """Return which project it is for."""
        return "every project" if row.project is None else row.project.slug

    @admin.display(description="Lets through")
    def lets_through(self, row: ApiToken) -> str:
        """Return how much of the account's access it has."""
        held = row.permissions
        return "all of the account's" if held is None else say_count(len(held), "permission")

    @admin.display(description="Ends", ordering="expiry")
    def ends(self, row: ApiToken) -> str:
        """Return when it ends."""
        return say_instant(row.expiry)

    @admin.display(description="Last used", ordering="last_used_at")
    def used(self, row: ApiToken) -> str:
        """Return when it was last used."""
        return "never" if row.last_used_at is None else say_instant(row.last_used_at)

    def list_facts(self, row: ApiToken) -> list[Fact]:
        """Return all of it but the secret, which nobody has."""
        by = row.created_by.username if row.created_by is not None else "the platform"
        return [
            Fact(label="Name", text=row.name),
            Fact(
                label="Account",
                text=row.user.username,
                url=reverse("admin:identity_user_change", args=(row.user_id,)),
            ),
            Fact(label="Reaches", text=self.reaches(row)),
            Fact(label="Ends", text=self.ends(row)),
            Fact(label="Last used", text=self.used(row)),
            Fact(label="Made by", text=by),
            Fact(
                label="Lets through",
                text=self.lets_through(row)
                if row.permissions is None
                else ", ".join(row.permissions),
            ),
        ]

    def show_result(self, request: HttpRequest, result: tuple[ApiToken, str]) -> HttpResponse:
        """Show the secret in the answer itself: nothing keeps it, so no page can show it again."""
        token, secret = result
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Token {token.name} is ready",
            "heading": self.heading,
            "secret": secret,
            "url": reverse(self.page_name("change"), args=(token.pk,)),
        }
        return TemplateResponse(request, "admin/token_made.html", context, status=201)


def make_site() -> ConsoleSite:
    """Return the console with everything it lists, in the order of its navigation."""
    site = ConsoleSite(name="admin")
    site.register(User, UserAdmin)
    site.register(Group, GroupAdmin)
    site.register(Project, ProjectAdmin)
    site.register(Role, RoleAdmin)
    site.register(RoleAssignment, AssignmentAdmin)
    site.register(ApiToken, TokenAdmin)
    return site


def _list_of(model: str, row: User | Group) -> str:
    name = "user" if isinstance(row, User) else "group"
    url = reverse(f"admin:identity_{model}_changelist")
    return f"{url}?{name}__id__exact={row.pk}"


def _holder_page(row: RoleAssignment) -> str:
    if row.user_id is not None:
        return reverse("admin:identity_user_change", args=(row.user_id,))
    return reverse("admin:auth_group_change", args=(row.group_id,))
