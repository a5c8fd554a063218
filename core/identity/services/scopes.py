"""Scopes for what packages above own. Read `create_scope`."""

from uuid import UUID

from django.db import transaction

from core.identity.domain.errors import IdentityInvalidError
from core.identity.domain.permissions import ScopeKind
from core.identity.models import Scope
from core.identity.services.finding import get_scope
from core.kernel.errors import Problem

_PARENTS = {ScopeKind.PROJECT: ScopeKind.GLOBAL, ScopeKind.WORKFLOW: ScopeKind.PROJECT}


@transaction.atomic
def create_scope(*, kind: ScopeKind, parent_id: UUID) -> Scope:
    """Make the scope of a new project or workflow, for the service that makes the thing itself.

    That service asks for permission and puts the thing on record; a scope alone gives nobody
    anything.

    Transaction: joins one.

    Raises:
        IdentityInvalidError: unless a project is put into the global scope, a workflow into a
            project's.
        IdentityMissingError: if there is no such parent.
    """
    parent = get_scope(parent_id)
    if _PARENTS.get(kind) != parent.kind:
        problem = Problem(path="/parent", message=f"A {kind} is not put into a {parent.kind}.")
        raise IdentityInvalidError(problems=[problem])
    return Scope.objects.create(kind=kind.value, parent=parent)
