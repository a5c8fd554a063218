"""The command `verify`: exports checked offline. Read `verify`."""

from pathlib import Path

import click

from countersign import verify as verifier
from countersign.cli.doorway import Session, command
from countersign.cli.errors import CommandError, Exit, Finished
from countersign.cli.root import countersign

_FILE = click.Path(path_type=Path, dir_okay=False)


@command(countersign)
@click.argument("file", type=_FILE, metavar="FILE")
@click.option("--key", "keys", multiple=True, metavar="VKEY", help="A key to believe; repeatable.")
@click.option(
    "--key-file", "key_files", multiple=True, type=_FILE, help="A file of keys, one a line."
)
@click.option("--origin", default="", help="The log's name, if it must be this one.")
@click.option(
    "--older", type=_FILE, help="A signed checkpoint you kept: nothing before it changed."
)
@click.option("--consistency", type=_FILE, help="The path from it, one hash in hex a line.")
@click.option("--open", "may_be_open", is_flag=True, help="Accept a run that still goes on.")
def verify(
    session: Session,
    file: Path,
    keys: tuple[str, ...],
    key_files: tuple[Path, ...],
    *,
    origin: str,
    older: Path | None,
    consistency: Path | None,
    may_be_open: bool,
) -> None:
    """Check a bundle, a receipt or a checkpoint offline, believing only the keys you give.

    Needs no server. Exit code 1 if it does not hold, 2 if there is nothing to judge: no such file,
    no key, no path. The same check as one file to copy: `countersign/verify.py`.
    """
    try:
        report = verifier.verify_path(
            file,
            verifier.Request(
                keys=verifier.read_keys(keys, key_files),
                origin=origin,
                older=verifier.read_given(older),
                consistency=verifier.read_given(consistency),
                may_be_open=may_be_open,
            ),
        )
    except verifier.UnusableError as problem:
        raise CommandError(str(problem), code=f"verify.{problem.code}") from problem
    except verifier.DiscrepancyError as problem:
        session.out.document(verifier.as_json(problem))
        session.out.line(f"It does NOT hold. {problem} [{problem.code}]", style="red")
        raise Finished(Exit.REFUSED) from problem
    session.out.document(report.as_json())
    session.out.line(str(report))
