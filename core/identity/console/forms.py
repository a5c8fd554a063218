"""What can be done in the console: one form for each service. Read `ActForm` first.

A form turns what was typed into values and calls one service; what the service refuses becomes
errors of the form. No form writes a row.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib.auth.models import Group

from core.identity.console.places import list_places
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.models import ApiToken, Project, RoleAssignment, User
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.selectors import grants
from core.identity.selectors.principals import find_by_username, map_group_names
from core.identity.selectors.projects import list_projects
from core.identity.services import groups, people, projects, roles, tokens
from core.kernel import limits
from core.kernel.errors import PlatformError
from core.kernel.record import ActorKind

_REASON_HELP = "Goes on record. Whoever reviews access reads it."
_DAY_SECONDS = 24 * 60 * 60


class ActForm(forms.Form):
    """One thing to do, to `target` or, with `target` `None`, to make something new.

    `takes` are the permissions of which one must be held everywhere for the form to be offered at
    all; the service asks again, and more closely. `perform` returns the row to show next, if any.
    """

    key: ClassVar[str]
    heading: ClassVar[str]
    button: ClassVar[str]
    about: ClassVar[str] = ""
    is_danger: ClassVar[bool] = False
    takes: ClassVar[frozenset[Permission]] = frozenset()

    def __init__(
        self, *, principal: Principal, target: Any, data: Mapping[str, Any] | None = None
    ) -> None:
        self.principal = principal
        self.target = target
        super().__init__(data, auto_id=f"{self.key}_%s", initial=self.initial_of(target))
        for field in self.fields.values():
            if field.required:
                field.widget.attrs["data-needed"] = "1"

    @classmethod
    def initial_of(cls, target: Any) -> dict[str, Any]:
        """Return what the fields show before anybody typed."""
        del target
        return {}

    @classmethod
    def is_offered(cls, target: Any) -> bool:
        """Return whether it makes sense for a row as it is now."""
        del target
        return True

    def perform(self, values: Mapping[str, Any]) -> Any:
        """Call the service with what was typed. Raises: PlatformError."""
        raise NotImplementedError

    def run(self) -> Any:
        """Do it. Raises: PlatformError, after noting in the form what was refused."""
        try:
            return self.perform(self.cleaned_data)
        except PlatformError as error:
            for problem in error.problems:
                name = problem.path.strip("/").partition("/")[0]
                self.add_error(name if name in self.fields else None, problem.message)
            if not error.problems:
                self.add_error(None, error.message)
            raise

    def _require_user(self, name: str) -> User | None:
        typed = self.cleaned_data.get(name, "")
        user = find_by_username(username=typed.lower()) if typed else None
        if typed and user is None:
            self.add_error(name, "There is no account of this name.")
        return user

    def _require_group(self, name: str) -> int | None:
        typed = self.cleaned_data.get(name, "")
        group_id = map_group_names(names=[typed]).get(typed) if typed else None
        if typed and group_id is None:
            self.add_error(name, "There is no team of this name.")
        return group_id


def _line(label: str, *, required: bool = True, help_text: str = "", **more: Any) -> Any:
    return forms.CharField(label=label, required=required, help_text=help_text, **more)


def _reason() -> forms.CharField:
    return forms.CharField(
        label="Reason",
        required=False,
        max_length=limits.REASON_CHARS_MAX,
        help_text=_REASON_HELP,
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class AddPerson(ActForm):
    """Makes an account of a human."""

    key, heading, button = "add_person", "A person", "Add the person"
    about = "The account may do nothing until a role is assigned."
    takes = frozenset({Permission.MANAGE_USERS})

    username = _line("Username", help_text="In lower case; it never changes.")
    name = _line("Name")
    email = _line("Email", required=False, help_text="Where notices go.")
    password = _line(
        "Password",
        required=False,
        strip=False,
        help_text="Leave it empty for somebody who cannot sign in with one.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    other_account = _line(
        "Other account",
        required=False,
        help_text="The username of an account the same human has already: both count as one.",
    )

    def clean(self) -> None:
        """Find the human behind the other account."""
        self.other = self._require_user("other_account")

    def perform(self, values: Mapping[str, Any]) -> User:
        """Call the service. Raises: PlatformError."""
        return people.create_user(
            principal=self.principal,
            username=values["username"],
            name=values["name"],
            email=values["email"],
            password=values["password"] or None,
            person_id=None if self.other is None else self.other.person_id,
        )


class AddMachine(ActForm):
    """Makes an account of a service or an agent."""

    key, heading, button = "add_machine", "A service or an agent", "Add the machine"
    about = "It signs in with tokens only, may ask and wait, and never decides."
    takes = frozenset({Permission.MANAGE_USERS})

    username = _line("Username", help_text="In lower case; it never changes.")
    name = _line("Name")
    kind = forms.ChoiceField(
        label="Kind",
        choices=[(ActorKind.SERVICE.value, "Service"), (ActorKind.AGENT.value, "Agent")],
    )
    owner = _line("Owner", help_text="The username of the human who answers for it.")

    def clean(self) -> None:
        """Find the owner."""
        self.owner_account = self._require_user("owner")

    def perform(self, values: Mapping[str, Any]) -> User:
        """Call the service. Raises: PlatformError."""
        assert self.owner_account is not None, "required, and looked up above"
        return people.create_machine(
            principal=self.principal,
            username=values["username"],
            name=values["name"],
            kind=ActorKind(values["kind"]),
            owner_id=self.owner_account.pk,
        )


class ChangeUser(ActForm):
    """Changes what an account is called and where its notices go."""

    key, heading, button = "change", "Name and address", "Save"
    takes = frozenset({Permission.MANAGE_USERS})

    name = _line("Name")
    email = _line("Email", required=False)

    @classmethod
    def initial_of(cls, target: User) -> dict[str, Any]:
        """Return what is stored."""
        return {"name": target.name, "email": target.email}

    def perform(self, values: Mapping[str, Any]) -> None:
        """Call the service with what differs. Raises: PlatformError."""
        stored = self.initial_of(self.target)
        changed = {name: values[name] for name in stored if values[name] != stored[name]}
        people.change_user(principal=self.principal, user_id=self.target.pk, **changed)


class EndSessions(ActForm):
    """Ends every browser session of an account."""

    key, heading, button = "end_sessions", "Sessions", "End all sessions"
    about = "Signs the account out of every browser. It may sign in again."
    takes = frozenset({Permission.MANAGE_USERS})

    def perform(self, values: Mapping[str, Any]) -> None:
        """Call the service. Raises: PlatformError."""
        people.end_sessions(principal=self.principal, user_id=self.target.pk)


class CloseAccount(ActForm):
    """Closes an account."""

    key, heading, button = "deactivate", "Close the account", "Close the account"
    about = "Ends its sessions and tokens for good, at once. Its roles stay, without effect."
    is_danger = True
    takes = frozenset({Permission.MANAGE_USERS})

    reason = _reason()

    @classmethod
    def is_offered(cls, target: User) -> bool:
        """Return whether it is open."""
        return target.is_active

    def perform(self, values: Mapping[str, Any]) -> None:
        """Call the service. Raises: PlatformError."""
        people.deactivate_user(
            principal=self.principal, user_id=self.target.pk, reason=values["reason"]
        )


class OpenAccount(ActForm):
    """Opens a closed account again."""

    key, heading, button = "activate", "Open the account again", "Open the account"
    about = "It gets back the roles it still has; sessions and tokens stay ended."
    takes = frozenset({Permission.MANAGE_USERS})

    reason = _reason()

    @classmethod
    def is_offered(cls, target: User) -> bool:
        """Return whether it is closed."""
        return not target.is_active

    def perform(self, values: Mapping[str, Any]) -> None:
        """Call the service. Raises: PlatformError."""
        people.activate_user(
            principal=self.principal, user_id=self.target.pk, reason=values["reason"]
        )


class AddGroup(ActForm):
    """Makes a team."""

    key, heading, button = "add", "A team", "Add the team"
    about = "Definitions name a team by its name, so that never changes."
    takes = frozenset({Permission.MANAGE_USERS})

    name = _line("Name", help_text="a-z, 0-9, '.', '_' and '-'.")

    def perform(self, values: Mapping[str, Any]) -> Group:
        """Call the service. Raises: PlatformError."""
        return groups.create_group(principal=self.principal, name=values["name"])


class AddMember(ActForm):
    """Puts an account into a team."""

    key, heading, button = "add_member", "Put somebody in", "Put into the team"
    about = "They get every role of the team at once."
    takes = frozenset({Permission.MANAGE_USERS})

    username = _line("Username")

    def clean(self) -> None:
        """Find the account."""
        self.user = self._require_user("username")

    def perform(self, values: Mapping[str, Any]) -> None:
        """Call the service. Raises: PlatformError."""
        assert self.user is not None, "required, and looked up above"
        groups.add_member(principal=self.principal, group_id=self.target.pk, user_id=self.user.pk)


class RemoveMember(AddMember):
    """Takes an account out of a team."""

    key, heading, button = "remove_member", "Take somebody out", "Take out of the team"
    about = "They lose every role of the team at once."
    is_danger = True

    def perform(self, values: Mapping[str, Any]) -> None:
        """Call the service. Raises: PlatformError."""
        assert self.user is not None, "required, and looked up above"
        groups.remove_member(
            principal=self.principal, group_id=self.target.pk, user_id=self.user.pk
        )


class AddProject(ActForm):
    """Makes a project."""

    key, heading, button = "add", "A project", "Add the project"
    about = "Nobody gets a role in it by that."
    takes = frozenset({Permission.CHANGE_PROJECT})

    slug = _line("Slug", help_text="Its name in addresses; it never changes.")
    title = _line("Title")

    def perform(self, values: Mapping[str, Any]) -> Project:
        """Call the service. Raises: PlatformError."""
        return projects.create_project(
            principal=self.principal, slug=values["slug"], title=values["title"]
        )


class ChangeProject(ActForm):
    """Changes what a project is called."""

    key, heading, button = "change", "Title", "Save"
    takes = frozenset({Permission.CHANGE_PROJECT})

    title = _line("Title")

    @classmethod
    def initial_of(cls, target: Project) -> dict[str, Any]:
        """Return what is stored."""
        return {"title": target.title}

    def perform(self, values: Mapping[str, Any]) -> None:
        """Call the service. Raises: PlatformError."""
        projects.change_project(
            principal=self.principal, project_id=self.target.pk, title=values["title"]
        )


class AssignRole(ActForm):
    """Gives an account or a team a role."""

    key, heading, button = "add", "A role for somebody", "Assign the role"
    about = "Name either an account or a team."
    takes = frozenset({Permission.MANAGE_ROLES, Permission.MANAGE_PROJECT_ACCESS})

    role = forms.ChoiceField(label="Role")
    scope = forms.ChoiceField(label="Where")
    user = _line("Account", required=False, help_text="A username.")
    group = _line("Team", required=False, help_text="A team's name.")
    expires_at = forms.DateTimeField(
        label="Ends at",
        required=False,
        help_text="In UTC; empty for good. A role that can override ends within hours.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    reason = _reason()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        shown = limits.PAGE_SIZE_MAX
        self.fields["role"].choices = [  # type: ignore[attr-defined]  # a ChoiceField, see above
            ("", "Choose a role"),
            *((role.slug, role.title) for role in grants.list_roles(limit=shown)),
        ]
        places = list_projects(principal=self.principal, limit=shown)
        self.fields["scope"].choices = [  # type: ignore[attr-defined]  # a ChoiceField, see above
            ("", "Choose where it holds"),
            (str(GLOBAL_SCOPE_ID), "Everywhere"),
            *((str(place.scope_id), f"Project {place.slug}") for place in places),
            *((str(scope_id), name) for scope_id, name in list_places(limit=shown)),
        ]

    def clean(self) -> None:
        """Find the account or the team."""
        self.user, self.group_id = self._require_user("user"), self._require_group("group")

    def perform(self, values: Mapping[str, Any]) -> RoleAssignment:
        """Call the service. Raises: PlatformError."""
        expires_at: datetime | None = values["expires_at"]
        return roles.assign_role(
            principal=self.principal,
            role=values["role"],
            scope_id=UUID(values["scope"]),
            user_id=None if self.user is None else self.user.pk,
            group_id=self.group_id,
            expires_at=None if expires_at is None else expires_at.astimezone(UTC),
            reason=values["reason"],
        )


class RevokeAssignment(ActForm):
    """Ends an assignment."""

    key, heading, button = "revoke", "Take the role back", "Take the role back"
    about = "It counts no more from the next question on."
    is_danger = True
    takes = frozenset(
        {
            Permission.MANAGE_ROLES,
            Permission.MANAGE_PROJECT_ACCESS,
            Permission.MANAGE_WORKFLOW_ACCESS,
        }
    )

    reason = _reason()

    def perform(self, values: Mapping[str, Any]) -> None:
        """Call the service. Raises: PlatformError."""
        roles.revoke_assignment(
            principal=self.principal, assignment_id=self.target.pk, reason=values["reason"]
        )


class AddToken(ActForm):
    """Makes a token, whose secret is shown once."""

    key, heading, button = "add", "A token", "Make the token"
    about = "For a machine, or for yourself. Nobody makes tokens for another human."

    name = _line("Name", help_text="What its owner knows it by.")
    user = _line("Account", required=False, help_text="A machine's username; empty for yourself.")
    project = forms.ChoiceField(label="Project", required=False)
    permissions = forms.MultipleChoiceField(
        label="Permissions",
        required=False,
        choices=[(item.value, item.value) for item in Permission],
        widget=forms.CheckboxSelectMultiple,
    )
    days = forms.IntegerField(
        label="Holds for days",
        min_value=1,
        max_value=limits.TOKEN_LIFETIME_MAX.days,
        initial=limits.TOKEN_LIFETIME_DEFAULT.days,
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        places = list_projects(principal=self.principal, limit=limits.PAGE_SIZE_MAX)
        self.fields["project"].choices = [  # type: ignore[attr-defined]  # a ChoiceField, see above
            ("", "Every project"),
            *((str(place.id), place.slug) for place in places),
        ]
        self.fields["permissions"].help_text = "None chosen: all that the account has."

    def clean(self) -> None:
        """Find the account."""
        self.user = self._require_user("user")

    def perform(self, values: Mapping[str, Any]) -> tuple[ApiToken, str]:
        """Call the service and return the token and its secret. Raises: PlatformError."""
        return tokens.create_token(
            principal=self.principal,
            name=values["name"],
            user_id=None if self.user is None else self.user.pk,
            permissions=values["permissions"] or None,
            project_id=UUID(values["project"]) if values["project"] else None,
            lifetime=timedelta(seconds=values["days"] * _DAY_SECONDS),
        )


class RevokeToken(ActForm):
    """Ends a token."""

    key, heading, button = "revoke", "Revoke the token", "Revoke the token"
    about = "It lets nothing through from now on, and its sockets close."
    is_danger = True

    def perform(self, values: Mapping[str, Any]) -> None:
        """Call the service. Raises: PlatformError."""
        tokens.revoke_token(principal=self.principal, token_id=self.target.pk)
