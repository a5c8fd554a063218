"""A project with runs on record, and people who read the ledger in browsers without scripts."""

import pytest

from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services.roles import assign_role
from tests.founding import founded, lend
from tests.integration.portal_runs.conftest import Yard, ask, call


def new_archive():
    """Return a yard with an auditor of everything and one of the project, and a run on record."""
    yard = Yard()
    yard.user("aud")
    assign_role(
        principal=yard.system,
        role="auditor",
        scope_id=GLOBAL_SCOPE_ID,
        user_id=yard.users["aud"].pk,
    )
    yard.user("paul", "auditor")
    yard.play(call("build"), title="Ship it", name="ship")
    yard.play(ask("gate"), title="May it?", name="gated")
    return yard


@pytest.fixture(scope="module")
def founded_archive(django_db_setup, django_db_blocker):
    """Found an archive once for a module."""
    with founded(new_archive, blocker=django_db_blocker) as archive:
        yield archive


@pytest.fixture
def archive(founded_archive, db):
    return lend(founded_archive)
