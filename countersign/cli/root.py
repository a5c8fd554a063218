"""The command line's outermost group, with every command in it. Read `countersign`."""

import click

from countersign.cli.doorway import Doorway
from countersign.cli.errors import MEANINGS

_ENDS = "\n".join(f"  {code.value:>3}  {said}" for code, said in MEANINGS.items())


@click.group(
    cls=Doorway,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"\b\nExit codes:\n{_ENDS}",
)
def countersign() -> None:
    """Work with a Countersign server: definitions from git, runs, approvals.

    `countersign login` keeps an address and a token; every other command uses them.
    """
