"""Putting secrets into the arguments of one attempt. Read `open_arguments`; only workers call it.

The value of a secret exists in the memory of the worker that executes the attempt, and nowhere
else outside its sealed row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from django.db import DatabaseError

from core.kernel.masking import Mask
from core.kernel.types import Json
from core.toolkit import log_masking
from core.toolkit.sealing import UnsealError, unseal
from engine import loading
from engine.actions.contract import PERMANENT, TRANSIENT, ActionError
from engine.domain.secrets import (
    MisfitError,
    fill_places,
    has_secrets,
    list_secrets,
    may_have_places,
)
from engine.models import Run
from engine.secrets.models import Secret, about_secret

MISSING = "secret.missing"  # the project has no secret of that name
UNREADABLE = "secret.unreadable"  # its sealed value does not open here


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """Arguments with places for secrets: whose secrets, and the plan's template that has them."""

    project_id: UUID
    template: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Arguments with the secrets in their places, and the mask that hides those again."""

    arguments: dict[str, Json]
    mask: Mask


def lock_of(*, project_id: UUID, template: Mapping[str, Json]) -> Locked | None:
    """Return what an attempt needs to open its arguments, `None` where they hold no secret."""
    if not has_secrets(dict(template)):
        return None
    return Locked(project_id=project_id, template=template)


def find_lock(*, run_id: UUID, key: str, arguments: dict[str, Json]) -> Locked | None:
    """Return what an attempt handed over by another worker needs to open its arguments.

    Where no list of parts is among the arguments there is no secret, and nothing is read. Where one
    is, the run's own plan says whether it is one: the arguments may hold anything.
    """
    if not may_have_places(cast("Json", arguments)):
        return None
    run = Run.objects.only("version_id").get(pk=run_id)
    rules = loading.get_rules(version_id=run.version_id)
    uses = rules.decider.uses_of(key)
    return lock_of(project_id=rules.project_id, template=uses.arguments)


def open_arguments(*, locked: Locked, arguments: dict[str, Json]) -> Opened:
    """Return an attempt's arguments with the secrets as they are now. One statement.

    From now on this process's log hides the values too.

    Raises:
        ActionError: `secret.missing`, `secret.unreadable`; `transient` when the database does not
            answer; `permanent` when the arguments do not fit their template.
    """
    names = set(list_secrets(dict(locked.template)))
    try:
        rows = list(Secret.objects.filter(project_id=locked.project_id, name__in=names))
    except DatabaseError as error:
        raise ActionError(TRANSIENT, "The secrets could not be read.") from error
    missing = sorted(names - {row.name for row in rows})
    if missing:
        raise ActionError(MISSING, f"The project has no secret {missing[0]}.")
    values = {row.name: _open(row) for row in rows}
    log_masking.remember(values.values())
    mask = Mask(values.values())
    try:
        filled = fill_places(dict(locked.template), cast("Json", arguments), values)
    except MisfitError as error:
        raise ActionError(PERMANENT, f"The arguments cannot be put together: {error}.") from error
    return Opened(arguments=cast("dict[str, Json]", filled), mask=mask)


def _open(row: Secret) -> str:
    try:
        return unseal(row.sealed, about=about_secret(row)).decode()
    except UnsealError as error:
        reason = error.details["reason"]
        raise ActionError(UNREADABLE, f"The secret {row.name} does not open: {reason}.") from error
