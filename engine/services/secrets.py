"""Setting and deleting named secrets of a project. Read `set_secret` first.

The only writer of `engine_secret`. A value is sealed here and opened by workers alone; what goes on
record says that it was set, never what it is.
"""

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from core.identity.authorize import authorize_each, enforce
from core.identity.domain.decision import Decision
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.models import Project
from core.kernel import limits
from core.kernel.errors import Problem
from core.kernel.record import Draft
from core.kernel.types import JsonLike
from core.toolkit import ledger
from core.toolkit.db import read_database_clock
from core.toolkit.sealing import seal
from engine.domain.errors import SecretCountError, SecretInvalidError, SecretMissingError
from engine.domain.secrets import SECRET_NAME
from engine.secrets.models import Secret, about_secret
from engine.selectors.secrets import SECRET_PERMISSIONS, SecretView, get_secret
from engine.selectors.targets import ProjectTarget, get_project_target


def set_secret(
    *,
    principal: Principal,
    project_slug: str,
    name: str,
    value: str,
    description: str | None = None,
) -> SecretView:
    """Set a secret's value, and make the secret if there is none of that name.

    Attempts that begin from now on use the value. Without a description the old one stays.
    Transaction: one of its own; changes of one project's secrets take turns.

    Raises:
        ProjectMissingError: no such project, or the caller may not see it.
        AccessForbiddenError: the caller may not change the project nor manage integrations.
        SecretInvalidError: name, value or description breaks a bound.
        SecretCountError: the project has as many as it may.
    """
    project = get_project_target(principal=principal, project_slug=project_slug)
    with transaction.atomic():
        decision = _enter(principal, project)
        _check(name=name, value=value, description=description or "")
        secret = Secret.objects.filter(project_id=project.project_id, name=name).first()
        is_new = secret is None
        if secret is None:
            count = Secret.objects.filter(project_id=project.project_id).count()
            if count >= limits.SECRET_COUNT_MAX:
                raise SecretCountError(count=count)
            secret = Secret(project_id=project.project_id, name=name, number=0)
        now = read_database_clock()
        _write(secret, principal=principal, value=value, description=description, at=now)
        _record(
            principal,
            kind="secret.created" if is_new else "secret.changed",
            secret=secret,
            project=project,
            decision=decision,
            at=now,
            payloads={"description": secret.description} if secret.description else {},
        )
    return get_secret(principal=principal, project_slug=project_slug, name=name)


def delete_secret(*, principal: Principal, project_slug: str, name: str) -> None:
    """Delete a secret; steps that need it fail with `secret.missing` from now on.

    Transaction: one of its own.

    Raises:
        ProjectMissingError: no such project, or the caller may not see it.
        AccessForbiddenError: the caller may not change the project nor manage integrations.
        SecretMissingError: there is none of that name.
    """
    project = get_project_target(principal=principal, project_slug=project_slug)
    with transaction.atomic():
        decision = _enter(principal, project)
        secret = Secret.objects.filter(project_id=project.project_id, name=name).first()
        if secret is None:
            raise SecretMissingError(name=name[: limits.SECRET_NAME_CHARS_MAX])
        Secret.objects.filter(pk=secret.pk).delete()
        _record(
            principal,
            kind="secret.deleted",
            secret=secret,
            project=project,
            decision=decision,
            at=read_database_clock(),
            payloads={},
        )


def _enter(principal: Principal, project: ProjectTarget) -> Decision:
    """Let one change of a project's secrets in at a time, by who may make it."""
    Project.objects.select_for_update(no_key=True).only("pk").get(pk=project.project_id)
    found = authorize_each(
        principal=principal, permissions=SECRET_PERMISSIONS, scope_id=project.scope_id
    )
    answer = next((item for item in found if item.allowed), found[0])
    return enforce(
        answer,
        principal=principal,
        permission=Permission.CHANGE_PROJECT,
        scope_id=project.scope_id,
    )


def _write(
    secret: Secret, *, principal: Principal, value: str, description: str | None, at: datetime
) -> None:
    secret.sealed = seal(value.encode(), about=about_secret(secret))
    secret.number += 1
    secret.changed_at = at
    secret.changed_by_id = principal.user_id
    if description is not None:
        secret.description = description
    if secret.number == 1:
        secret.created_at = at
    secret.save()


def _check(*, name: str, value: str, description: str) -> None:
    """Refuse what cannot be kept; the messages never show the value."""
    problems = []
    if not SECRET_NAME.fullmatch(name) or len(name) > limits.SECRET_NAME_CHARS_MAX:
        most = limits.SECRET_NAME_CHARS_MAX
        message = f"A capital letter, then capital letters, digits and `_`, at most {most}."
        problems.append(Problem(path="/name", message=message, code="invalid"))
    least, most = limits.SECRET_CHARS_MIN, limits.SECRET_CHARS_MAX
    if not least <= len(value) <= most or len(value.strip()) < least:
        message = f"Between {least} and {most} characters; a shorter one could not be masked."
        problems.append(Problem(path="/value", message=message, code="invalid"))
    elif "\x00" in value or not _is_unicode(value):
        problems.append(Problem(path="/value", message="Not a text.", code="invalid"))
    if len(description) > limits.SECRET_LINE_CHARS_MAX or "\x00" in description:
        message = f"A line of at most {limits.SECRET_LINE_CHARS_MAX} characters."
        problems.append(Problem(path="/description", message=message, code="invalid"))
    if problems:
        raise SecretInvalidError(problems=problems)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _record(
    principal: Principal,
    *,
    kind: str,
    secret: Secret,
    project: ProjectTarget,
    decision: Decision,
    at: datetime,
    payloads: Mapping[str, JsonLike],
) -> None:
    token = {} if principal.token is None else {"token": str(principal.token.id)}
    ledger.record(
        stream=f"project:{project.project_id}",
        draft=Draft(
            kind=kind,
            at=at,
            origin=principal.origin,
            subject=f"secret:{secret.id}",
            data={**token, "name": secret.name, "number": secret.number},
            payloads=payloads,
            policy=decision.matched,
            scope=project.scope_id,
        ),
    )
