"""What the end of a run says to what waits for it. Read `heard_of`.

Such triggers are pulled by the database, in the transaction that closes the run: see the migration
`run_finished`. A firing then holds only which run it was; the rest is read when it is looked at.
"""

from uuid import UUID

from audit import store as ledger
from core.kernel.types import Json
from engine.models import Run

FINISHED_TYPE = "run.finished"


def named(run_id: UUID) -> dict[str, Json]:
    """Return what names the end of a run, without reading anything."""
    return {"id": str(run_id), "type": FINISHED_TYPE, "data": {}}


def heard_of(run_id: UUID) -> dict[str, Json]:
    """Return what expressions see as `event` when a run has ended."""
    run = Run.objects.select_related("workflow").get(pk=run_id)
    (last,) = ledger.read_stream(stream=run_id, after_seq=run.seq - 1, limit=1)
    data: dict[str, Json] = {
        "run": str(run_id),
        "number": run.number,
        "workflow": run.workflow.slug,
        "outcome": run.outcome,
        "outputs": last.payloads.get("outputs", {}),
    }
    return {
        "id": str(run_id),
        "type": FINISHED_TYPE,
        "source": f"run:{run_id}",
        "subject": run.workflow.slug,
        "time": last.at.isoformat().replace("+00:00", "Z"),
        "data": data,
    }
