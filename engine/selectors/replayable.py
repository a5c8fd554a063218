"""Finding what operators replay by the names they type. Read `find_run` first.

Nobody's permission is asked: whoever runs `manage.py` reads the database anyway.
"""

from uuid import UUID

from django.db.models import QuerySet

from audit.models import Entry
from engine.domain.errors import RunMissingError, VersionMissingError
from engine.domain.events import EventKind
from engine.domain.state import RunStatus
from engine.models import Run, Version


def find_run(*, name: str) -> Run:
    """Return a run by its id or its number. Raises: RunMissingError."""
    runs = Run.objects.select_related("version")
    uuid = _read_uuid(name)
    if uuid is None and not (name.isascii() and name.isdigit()):
        raise RunMissingError
    run = (runs.filter(pk=uuid) if uuid else runs.filter(number=int(name))).first()
    if run is None:
        raise RunMissingError
    return run


def find_version(*, name: str) -> Version:
    """Return a version by its id or as `project/workflow@rev`. Raises: VersionMissingError."""
    versions = Version.objects.select_related("workflow__project")
    uuid = _read_uuid(name)
    path, _, rev = name.rpartition("@")
    project, _, workflow = path.partition("/")
    number = int(rev) if rev.isascii() and rev.isdigit() else 0
    found = versions.filter(rev=number, workflow__slug=workflow, workflow__project__slug=project)
    version = (versions.filter(pk=uuid) if uuid else found).first()
    if version is None:
        raise VersionMissingError(rev=number)
    return version


def list_open_runs(*, version: Version) -> QuerySet[Run]:
    """Return the open runs of a version's workflow, of whatever version, oldest first."""
    runs = Run.objects.filter(workflow_id=version.workflow_id).exclude(status=RunStatus.CLOSED)
    return runs.select_related("version").order_by("pk")


def count_moves(*, run_id: UUID) -> int:
    """Return how often a run was moved to another version."""
    return Entry.objects.filter(stream=run_id, kind=EventKind.RUN_MIGRATED).count()


def _read_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
