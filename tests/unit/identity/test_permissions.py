"""What permissions exist, and what the builtin roles hold."""

import re

import pytest

from core.identity.domain.names import ROLE_SLUG_PATTERN
from core.identity.domain.permissions import (
    ACCESS_PERMISSIONS,
    BUILTIN_ROLES,
    LEVELS,
    PERSON_ONLY,
    SHAREABLE,
    SYSTEM_PERMISSIONS,
    Level,
    Permission,
    ScopeKind,
)

DECIDING = {Permission.DECIDE_REQUEST, Permission.OVERRIDE_REQUEST, Permission.DELEGATE_REQUEST}
WORKING = {
    Permission.TRIGGER_WORKFLOW,
    Permission.EDIT_WORKFLOW,
    Permission.PUBLISH_WORKFLOW,
    Permission.OPERATE_RUN,
    Permission.EXECUTE_TASK,
}


def held_by(slug):
    return BUILTIN_ROLES[slug].permissions


def test_the_builtin_roles_are_the_twelve_of_the_specification():
    assert list(BUILTIN_ROLES) == [
        "viewer",
        "requester",
        "approver",
        "editor",
        "publisher",
        "operator",
        "worker",
        "project_admin",
        "auditor",
        "records_officer",
        "access_admin",
        "breakglass",
    ]


def test_every_permission_has_a_level_and_somebody_who_may_hold_it():
    held = frozenset().union(*(role.permissions for role in BUILTIN_ROLES.values()))

    assert set(LEVELS) == set(Permission)
    assert held == set(Permission)


def test_a_project_administrator_neither_decides_nor_publishes():
    assert not held_by("project_admin") & (DECIDING | {Permission.PUBLISH_WORKFLOW})
    assert Permission.MANAGE_PROJECT_ACCESS in held_by("project_admin")


def test_an_access_administrator_neither_decides_edits_nor_triggers():
    assert not held_by("access_admin") & (DECIDING | WORKING)
    assert set(ACCESS_PERMISSIONS.values()) <= held_by("access_admin")


def test_a_worker_sees_its_project_does_tasks_and_nothing_else():
    assert held_by("worker") == {Permission.VIEW_PROJECT, Permission.EXECUTE_TASK}


@pytest.mark.parametrize("slug", ["viewer", "auditor"])
def test_observers_change_nothing(slug):
    looks = ("view_", "export_", "review_")

    assert all(item.startswith(looks) for item in held_by(slug))


def test_only_one_role_decides_only_one_publishes_and_only_one_overrides():
    def holders(permission):
        return [slug for slug, role in BUILTIN_ROLES.items() if permission in role.permissions]

    assert holders(Permission.DECIDE_REQUEST) == ["approver"]
    assert holders(Permission.PUBLISH_WORKFLOW) == ["publisher"]
    assert holders(Permission.OVERRIDE_REQUEST) == ["breakglass"]
    assert holders(Permission.MANAGE_ROLES) == ["access_admin"]


def test_the_platform_itself_neither_triggers_edits_publishes_operates_nor_decides():
    assert not SYSTEM_PERMISSIONS & (DECIDING | WORKING)


def test_only_project_permissions_can_be_shared_on_a_project():
    assert {LEVELS[item] for item in SHAREABLE} == {Level.PROJECT}
    assert Permission.VIEW_PROJECT in SHAREABLE


def test_what_only_people_may_do_is_deciding_and_erasing():
    assert DECIDING | {Permission.REDACT_AUDIT} == PERSON_ONLY


def test_a_records_officer_reads_the_ledger_has_values_erased_and_does_nothing_else():
    held = held_by("records_officer")

    assert held - held_by("viewer") == {Permission.VIEW_AUDIT, Permission.REDACT_AUDIT}
    assert [
        slug for slug, role in BUILTIN_ROLES.items() if Permission.REDACT_AUDIT in role.permissions
    ] == ["records_officer"]


def test_each_kind_of_scope_has_its_permission_for_access():
    assert set(ACCESS_PERMISSIONS) == set(ScopeKind)


def test_slugs_of_builtin_roles_fit_audience_keys():
    for slug, role in BUILTIN_ROLES.items():
        assert re.fullmatch(ROLE_SLUG_PATTERN, slug)
        assert role.slug == slug
        assert role.title
