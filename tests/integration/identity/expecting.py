"""What tests of services expect again and again."""

from uuid import UUID

import pytest

from core.identity.domain.errors import IdentityInvalidError

NOBODY = UUID(int=5)  # the id of nothing


def problems_of(call):
    """Return the paths of the problems a call is refused for."""
    with pytest.raises(IdentityInvalidError) as error:
        call()
    return [problem.path for problem in error.value.problems]


def acts(recall, stream="identity"):
    """Return what services recorded; the copies of the settings log are another test's."""
    return [entry for entry in recall(stream) if entry.kind != "setting.changed"]
