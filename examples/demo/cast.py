"""Who is in the demo project, and what each may do. Read `CAST` first.

These accounts exist under the demo settings only: everybody has the same known password.
"""

from dataclasses import dataclass

PASSWORD = "countersign-demo"  # noqa: S105  # known to everybody, on purpose
PROJECT_SLUG = "demo"
PROJECT_TITLE = "Demo"
WORKFLOW_SLUG = "release"
ENGINEERS = "engineers"
CHANGE_BOARD = "change-board"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An account of the demo.

    `roles` hold in the demo project, `global_roles` everywhere. `teams` are names of groups.
    """

    username: str
    name: str
    does: str
    roles: tuple[str, ...] = ()
    global_roles: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    is_staff: bool = False

    @property
    def email(self) -> str:
        """Return where notices go; nobody receives mail there."""
        return f"{self.username}@demo.example"


CAST = (
    Member(
        username="mara",
        name="Mara Winter",
        does="an engineer; writes the workflow and asks for releases",
        # An approver of the right team as well, so that what keeps her from approving her own
        # releases is that they are hers.
        roles=("requester", "editor", "approver"),
        teams=(ENGINEERS,),
    ),
    Member(
        username="ada",
        name="Ada Okafor",
        does="approves as an engineer",
        roles=("approver",),
        teams=(ENGINEERS,),
    ),
    Member(
        username="noor",
        name="Noor Haddad",
        does="approves as an engineer",
        roles=("approver",),
        teams=(ENGINEERS,),
    ),
    Member(
        username="owen",
        name="Owen Byrne",
        does="approves for the change board",
        roles=("approver",),
        teams=(CHANGE_BOARD,),
    ),
    Member(
        username="lin",
        name="Lin Chen",
        does="approves for the change board",
        roles=("approver",),
        teams=(CHANGE_BOARD,),
    ),
    Member(
        username="pia", name="Pia Santos", does="publishes what Mara wrote", roles=("publisher",)
    ),
    Member(username="rex", name="Rex Novak", does="operates runs", roles=("operator",)),
    Member(
        username="aud", name="Aud Lindqvist", does="reads the ledger", global_roles=("auditor",)
    ),
    Member(
        username="admin",
        name="Sam Admin",
        does="says who may do what, and decides nothing",
        global_roles=("access_admin",),
        is_staff=True,
    ),
)
AUTHOR, PUBLISHER = CAST[0], CAST[5]
