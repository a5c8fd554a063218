"""What packages above may know of a run. Read `get_run_facts`."""

from uuid import UUID

from django.db import connection

from engine.domain.errors import RunMissingError
from engine.ports import RunFacts

_FACTS = """
    SELECT r.id, r.number, r.title, w.id, w.slug, w.scope_id, p.id, p.slug, v.id, v.rev, v.digest,
        r.initiator_id, initiator.person_id, r.on_behalf_of_id,
        ARRAY(SELECT x.person_id FROM engine_rerunner x WHERE x.run_id = r.id ORDER BY 1),
        r.agent_owner_id, author.person_id
    FROM engine_run r
    JOIN engine_workflow w ON w.id = r.workflow_id
    JOIN identity_project p ON p.id = w.project_id
    JOIN engine_version v ON v.id = r.version_id
    JOIN identity_user initiator ON initiator.id = r.initiator_id
    JOIN identity_user author ON author.id = v.author_id
    WHERE r.id = %s"""


def get_run_facts(*, run_id: UUID) -> RunFacts:
    """Return a run's facts. One statement. Raises: RunMissingError."""
    with connection.cursor() as cursor:
        cursor.execute(_FACTS, (run_id,))
        row = cursor.fetchone()
    if row is None:
        raise RunMissingError
    return RunFacts(
        run_id=row[0],
        number=row[1],
        title=row[2],
        workflow_id=row[3],
        workflow_slug=row[4],
        workflow_scope_id=row[5],
        project_id=row[6],
        project_slug=row[7],
        version_id=row[8],
        version_rev=row[9],
        version_digest=bytes(row[10]),
        initiator_user_id=row[11],
        initiator_person_id=row[12],
        on_behalf_of_person_id=row[13],
        rerunner_person_ids=tuple(row[14]),
        agent_owner_person_id=row[15],
        version_author_person_ids=(row[16],),
    )
