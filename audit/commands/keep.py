"""`manage.py ledger keep`: the process that carries the ledger out and looks after it."""

import signal
import threading
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

import structlog
from django.core.management.base import BaseCommand

from audit import keeping
from core.kernel import limits

HELP = (
    "Anchor tree heads, forward entries, and do what else is to be done again and again; until "
    "told to stop. Any number may run."
)

_log = structlog.get_logger(__name__)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--once", action="store_true", help="do what there is to do now, each job once, and exit"
    )
    parser.add_argument("--job", help="only the job of this name, such as forward:siem")


def handle(options: Mapping[str, Any], out: BaseCommand) -> int:
    """Keep; 1 if a job failed (with `--once`), 2 if there is no such job."""
    jobs = [job for job in keeping.list_jobs() if options["job"] in {None, job.name}]
    if not jobs and options["job"]:
        out.stderr.write(f"There is no job {options['job']}.")
        return 2
    if options["once"]:
        return max([_run(job, out) for job in jobs], default=0)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    _log.info("audit.keeper_started", jobs=[job.name for job in jobs])
    keeping.keep(jobs=jobs, stopping=stopping)
    return 0


def _run(job: keeping.Job, out: BaseCommand) -> int:
    turn = keeping.Turn(job=job)
    rounds = 0
    while turn.take() == 0.0 and rounds < limits.KEEPER_ROUND_COUNT_MAX:
        rounds += 1
    out.stdout.write(f"{job.name}: {'failed' if turn.fault_count else 'done'}")
    turn.release()
    return 1 if turn.fault_count else 0
