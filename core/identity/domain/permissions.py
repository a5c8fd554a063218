"""Every permission there is, and what the builtin roles hold. Read `Permission` first.

Access is allow-only: nobody may do anything until a role assignment or a share says so. The set of
permissions is closed; roles group them, and a deployment may add roles but never permissions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class ScopeKind(StrEnum):
    """Where an assignment holds: everywhere, in one project, or on one workflow."""

    GLOBAL = "global"
    PROJECT = "project"
    WORKFLOW = "workflow"


class Level(StrEnum):
    """The kind of thing a permission is about."""

    GLOBAL = "global"
    PROJECT = "project"
    WORKFLOW = "workflow"
    REQUEST = "request"


class Permission(StrEnum):
    """What one may be allowed to do. The values are stored and appear in the ledger."""

    VIEW_PROJECT = "view_project"
    CHANGE_PROJECT = "change_project"
    MANAGE_PROJECT_ACCESS = "manage_project_access"

    VIEW_WORKFLOW = "view_workflow"
    TRIGGER_WORKFLOW = "trigger_workflow"
    EDIT_WORKFLOW = "edit_workflow"
    PUBLISH_WORKFLOW = "publish_workflow"
    ARCHIVE_WORKFLOW = "archive_workflow"
    OPERATE_RUN = "operate_run"
    EXECUTE_TASK = "execute_task"
    MANAGE_WORKFLOW_ACCESS = "manage_workflow_access"

    VIEW_REQUEST = "view_request"
    COMMENT_REQUEST = "comment_request"
    CANCEL_REQUEST = "cancel_request"
    DECIDE_REQUEST = "decide_request"
    DELEGATE_REQUEST = "delegate_request"
    OVERRIDE_REQUEST = "override_request"

    MANAGE_USERS = "manage_users"
    MANAGE_ROLES = "manage_roles"
    MANAGE_TOKENS = "manage_tokens"
    MANAGE_INTEGRATIONS = "manage_integrations"
    VIEW_AUDIT = "view_audit"
    EXPORT_AUDIT = "export_audit"
    REDACT_AUDIT = "redact_audit"
    REVIEW_ACCESS = "review_access"


LEVELS: Final[Mapping[Permission, Level]] = MappingProxyType(
    {
        Permission.VIEW_PROJECT: Level.PROJECT,
        Permission.CHANGE_PROJECT: Level.PROJECT,
        Permission.MANAGE_PROJECT_ACCESS: Level.PROJECT,
        Permission.VIEW_WORKFLOW: Level.WORKFLOW,
        Permission.TRIGGER_WORKFLOW: Level.WORKFLOW,
        Permission.EDIT_WORKFLOW: Level.WORKFLOW,
        Permission.PUBLISH_WORKFLOW: Level.WORKFLOW,
        Permission.ARCHIVE_WORKFLOW: Level.WORKFLOW,
        Permission.OPERATE_RUN: Level.WORKFLOW,
        Permission.EXECUTE_TASK: Level.WORKFLOW,
        Permission.MANAGE_WORKFLOW_ACCESS: Level.WORKFLOW,
        Permission.VIEW_REQUEST: Level.REQUEST,
        Permission.COMMENT_REQUEST: Level.REQUEST,
        Permission.CANCEL_REQUEST: Level.REQUEST,
        Permission.DECIDE_REQUEST: Level.REQUEST,
        Permission.DELEGATE_REQUEST: Level.REQUEST,
        Permission.OVERRIDE_REQUEST: Level.REQUEST,
        Permission.MANAGE_USERS: Level.GLOBAL,
        Permission.MANAGE_ROLES: Level.GLOBAL,
        Permission.MANAGE_TOKENS: Level.GLOBAL,
        Permission.MANAGE_INTEGRATIONS: Level.GLOBAL,
        Permission.VIEW_AUDIT: Level.GLOBAL,
        Permission.EXPORT_AUDIT: Level.GLOBAL,
        Permission.REDACT_AUDIT: Level.GLOBAL,
        Permission.REVIEW_ACCESS: Level.GLOBAL,
    }
)

# Agents and services may ask and wait; deciding is for people, whatever a machine's roles say, and
# so is having anything erased.
PERSON_ONLY: Final = frozenset(
    {
        Permission.DECIDE_REQUEST,
        Permission.DELEGATE_REQUEST,
        Permission.OVERRIDE_REQUEST,
        Permission.REDACT_AUDIT,
    }
)

# What whoever runs commands on the server may do without an account: set up who may do what. It
# holds nothing that triggers, edits, publishes, operates, decides or overrides.
SYSTEM_PERMISSIONS: Final = frozenset(
    {
        Permission.VIEW_PROJECT,
        Permission.CHANGE_PROJECT,
        Permission.MANAGE_PROJECT_ACCESS,
        Permission.VIEW_WORKFLOW,
        Permission.MANAGE_WORKFLOW_ACCESS,
        Permission.MANAGE_USERS,
        Permission.MANAGE_ROLES,
        Permission.MANAGE_TOKENS,
        Permission.MANAGE_INTEGRATIONS,
        Permission.REVIEW_ACCESS,
    }
)

# Which permission it takes to assign and revoke roles at a scope of each kind.
ACCESS_PERMISSIONS: Final[Mapping[ScopeKind, Permission]] = MappingProxyType(
    {
        ScopeKind.GLOBAL: Permission.MANAGE_ROLES,
        ScopeKind.PROJECT: Permission.MANAGE_PROJECT_ACCESS,
        ScopeKind.WORKFLOW: Permission.MANAGE_WORKFLOW_ACCESS,
    }
)

# What may be shared on one project without a role (a one-off share).
SHAREABLE: Final = tuple(item for item in Permission if LEVELS[item] is Level.PROJECT)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltinRole:
    """A role that every installation has. Its slug is stored in audience keys and never changes."""

    slug: str
    title: str
    permissions: frozenset[Permission]


_VIEWS = frozenset({Permission.VIEW_PROJECT, Permission.VIEW_WORKFLOW, Permission.VIEW_REQUEST})


def _role(slug: str, title: str, *permissions: Permission, views: bool = True) -> BuiltinRole:
    held = frozenset(permissions) | (_VIEWS if views else frozenset())
    return BuiltinRole(slug=slug, title=title, permissions=held)


_ROLES = (
    _role("viewer", "Viewer"),
    _role(
        "requester",
        "Requester",
        Permission.TRIGGER_WORKFLOW,
        Permission.COMMENT_REQUEST,
        Permission.CANCEL_REQUEST,
    ),
    _role(
        "approver",
        "Approver",
        Permission.DECIDE_REQUEST,
        Permission.DELEGATE_REQUEST,
        Permission.COMMENT_REQUEST,
    ),
    _role("editor", "Editor", Permission.EDIT_WORKFLOW, Permission.COMMENT_REQUEST),
    _role("publisher", "Publisher", Permission.PUBLISH_WORKFLOW, Permission.ARCHIVE_WORKFLOW),
    _role(
        "operator",
        "Operator",
        Permission.OPERATE_RUN,
        Permission.COMMENT_REQUEST,
        Permission.CANCEL_REQUEST,
    ),
    # A program that does the work of steps: it sees which project it works for and nothing else.
    BuiltinRole(
        slug="worker",
        title="Worker",
        permissions=frozenset({Permission.VIEW_PROJECT, Permission.EXECUTE_TASK}),
    ),
    # Runs a project, but neither decides nor publishes.
    _role(
        "project_admin",
        "Project administrator",
        Permission.CHANGE_PROJECT,
        Permission.MANAGE_PROJECT_ACCESS,
        Permission.MANAGE_WORKFLOW_ACCESS,
        Permission.TRIGGER_WORKFLOW,
        Permission.EDIT_WORKFLOW,
        Permission.ARCHIVE_WORKFLOW,
        Permission.OPERATE_RUN,
        Permission.EXECUTE_TASK,
        Permission.COMMENT_REQUEST,
        Permission.CANCEL_REQUEST,
    ),
    _role(
        "auditor",
        "Auditor",
        Permission.VIEW_AUDIT,
        Permission.EXPORT_AUDIT,
        Permission.REVIEW_ACCESS,
    ),
    # Has payloads erased and keeps others from being erased: reads what it is about, does no more.
    _role("records_officer", "Records officer", Permission.VIEW_AUDIT, Permission.REDACT_AUDIT),
    # Says who may do what, but neither decides, edits nor triggers, and reads no requests.
    _role(
        "access_admin",
        "Access administrator",
        Permission.VIEW_PROJECT,
        Permission.VIEW_WORKFLOW,
        Permission.MANAGE_PROJECT_ACCESS,
        Permission.MANAGE_WORKFLOW_ACCESS,
        Permission.MANAGE_USERS,
        Permission.MANAGE_ROLES,
        Permission.MANAGE_TOKENS,
        Permission.MANAGE_INTEGRATIONS,
        Permission.REVIEW_ACCESS,
        views=False,
    ),
    # Only ever assigned for hours; see `assignments.check_expiry`.
    _role("breakglass", "Break glass", Permission.OVERRIDE_REQUEST, Permission.OPERATE_RUN),
)

BUILTIN_ROLES: Final[Mapping[str, BuiltinRole]] = MappingProxyType(
    {role.slug: role for role in _ROLES}
)
