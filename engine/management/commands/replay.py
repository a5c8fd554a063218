"""`manage.py replay`: does what is on record lead where it led?"""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.kernel.errors import PlatformError
from engine.models import Version
from engine.selectors.replayable import find_run, find_version, list_open_runs
from engine.services import replaying
from engine.services.replaying import ReplayReport

_REDACTED = 3  # the exit status if nothing is wrong but values were erased, which is on record
_PROGRESS_EVERY = 20  # runs between two lines of progress


class Command(BaseCommand):
    """Replays runs and names the first entry that does not hold."""

    help = (
        "Replay a run with its own version, or with --version another; with --all-open every open "
        "run of that version's workflow. Ends with 1 if one does not replay, with 3 if one only "
        "misses values that were redacted. Nothing is changed."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("run", nargs="?", help="a run's id or number")
        parser.add_argument("--all-open", action="store_true", help="every open run")
        parser.add_argument(
            "--version", dest="other", metavar="VERSION", help="project/workflow@rev, or an id"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Let `--version` be ours; elsewhere it prints Django's."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do it. Raises: CommandError."""
        if bool(options["run"]) == options["all_open"]:
            raise CommandError("Name one run, or give --all-open.", returncode=2)
        if options["all_open"] and not options["other"]:
            raise CommandError("--all-open needs --version.", returncode=2)
        try:
            version = find_version(name=options["other"]) if options["other"] else None
            run = find_run(name=options["run"]) if options["run"] else None
        except PlatformError as error:
            raise CommandError(error.message, returncode=2) from error
        if run is not None:
            version_id = version.pk if version else None
            reports = [replaying.replay_run(run=run, version_id=version_id)]
        else:
            assert version is not None, "checked above"
            reports = self._replay_all(version)
        self._tell(reports, as_json=options["json"], is_list=options["all_open"])
        failed = [report for report in reports if not report.holds]
        if failed:
            sys.exit(_REDACTED if all(report.is_redacted for report in failed) else 1)

    def _replay_all(self, version: Version) -> list[ReplayReport]:
        total = list_open_runs(version=version).count()
        reports: list[ReplayReport] = []
        for report in replaying.replay_open(version=version):
            reports.append(report)
            if len(reports) % _PROGRESS_EVERY == 0:
                self.stderr.write(f"{len(reports):,} of {total:,} open runs")
        return reports

    def _tell(self, reports: list[ReplayReport], *, as_json: bool, is_list: bool) -> None:
        if as_json:
            told = {
                "replayed": len(reports),
                "failed": sum(not report.holds for report in reports),
                "runs": [_as_json(report) for report in reports],
            }
            self.stdout.write(json.dumps(told, sort_keys=True, ensure_ascii=False))
            return
        for report in reports:
            if not (is_list and report.holds):
                self.stdout.write(_describe(report))
        if is_list:
            failed = sum(not report.holds for report in reports)
            self.stdout.write(f"{len(reports)} open runs: {len(reports) - failed} replay")


def _describe(report: ReplayReport) -> str:
    name = f"Run {report.number}"
    if report.is_redacted:
        return f"{name} was redacted: {report.unreadable}"
    if report.unreadable:
        return f"{name} cannot be read: {report.unreadable}"
    if report.divergence is None:
        return f"{name} replays: {report.entry_count} entries"
    first = report.divergence
    return (
        f"{name} does not replay from entry {first.seq} ({first.kind}) on.\n"
        f"  on record: {first.expected}\n"
        f"  replayed:  {first.found}"
    )


def _as_json(report: ReplayReport) -> dict[str, Any]:
    first = report.divergence
    return {
        "run": str(report.run_id),
        "number": report.number,
        "rev": report.rev,
        "entries": report.entry_count,
        "holds": report.holds,
        "unreadable": report.unreadable,
        "redacted": report.is_redacted,
        "divergence": first
        and {
            "seq": first.seq,
            "kind": first.kind,
            "expected": first.expected,
            "found": first.found,
        },
    }
