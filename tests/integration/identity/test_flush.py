"""Tests that commit leave the next ones what the migrations made."""

import pytest

from core.identity.domain.permissions import BUILTIN_ROLES
from core.identity.models import Role, Scope
from core.identity.seed import GLOBAL_SCOPE_ID


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", ["first", "after a flush"])
def test_the_builtin_roles_and_the_global_scope_survive_a_flush(turn):
    assert Role.objects.filter(builtin=True).count() == len(BUILTIN_ROLES)
    assert Scope.objects.get().pk == GLOBAL_SCOPE_ID
