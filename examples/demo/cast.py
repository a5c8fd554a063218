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
COMPLIANCE = "compliance"
EDITORS = "editors"
FINANCE = "finance"
MODEL_RISK = "model-risk"
ON_CALL = "on-call"
SALES = "sales"
SECURITY = "security"
STEWARDS = "data-stewards"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """An account of a service or an agent, which a human answers for. It has tokens only."""

    username: str
    name: str
    does: str
    kind: str
    owner: str
    roles: tuple[str, ...]


CAST = (
    Member(
        username="mara",
        name="Mara Winter",
        does="an engineer; writes the workflows and asks for releases",
        # An approver of the right team as well, so that what keeps her from approving her own
        # releases is that they are hers.
        roles=("requester", "editor", "approver"),
        teams=(ENGINEERS,),
    ),
    Member(
        username="ada",
        name="Ada Okafor",
        does="approves as an engineer, for who is on call and for the data stewards",
        roles=("approver",),
        teams=(ENGINEERS, ON_CALL, STEWARDS),
    ),
    Member(
        username="noor",
        name="Noor Haddad",
        does="approves as an engineer, for security and for the editors",
        roles=("approver",),
        teams=(ENGINEERS, SECURITY, EDITORS),
    ),
    Member(
        username="owen",
        name="Owen Byrne",
        does="approves for the change board and for finance",
        roles=("approver",),
        teams=(CHANGE_BOARD, FINANCE),
    ),
    Member(
        username="lin",
        name="Lin Chen",
        does="approves for the change board, compliance and model risk",
        roles=("approver",),
        teams=(CHANGE_BOARD, COMPLIANCE, MODEL_RISK),
    ),
    Member(
        username="tess",
        name="Tess Moreau",
        does="approves for finance, sales and the data stewards, and asks for reviews",
        roles=("requester", "approver"),
        teams=(FINANCE, SALES, STEWARDS),
    ),
    Member(
        username="ivo",
        name="Ivo Petrov",
        does="approves for security and for who is on call, and asks for machines",
        roles=("requester", "approver"),
        teams=(SECURITY, ON_CALL),
    ),
    Member(
        username="jun",
        name="Jun Sato",
        does="approves for compliance, sales and the editors, and writes articles",
        roles=("requester", "approver"),
        teams=(COMPLIANCE, SALES, EDITORS),
    ),
    Member(
        username="pia", name="Pia Santos", does="publishes what Mara wrote", roles=("publisher",)
    ),
    Member(
        username="rex",
        name="Rex Novak",
        does="operates runs, and runs them again",
        roles=("requester", "operator"),
    ),
    Member(
        username="kai",
        name="Kai Andersen",
        does="looks after the project and who is in it, and approves what is erased",
        roles=("project_admin",),
        global_roles=("records_officer",),
    ),
    Member(
        username="aud",
        name="Aud Lindqvist",
        does="reads the ledger, and asks for what must be erased",
        global_roles=("auditor", "records_officer"),
    ),
    Member(
        username="admin",
        name="Sam Admin",
        does="says who may do what, and decides nothing",
        global_roles=("access_admin",),
        is_staff=True,
    ),
)
MACHINES = (
    Machine(
        username="scout",
        name="Scout",
        does="a support agent, Mara's; asks before it uses a tool that changes something",
        kind="agent",
        owner="mara",
        roles=("requester",),
    ),
    Machine(
        username="relay",
        name="Event relay",
        does="a service of Rex's; hands on events of monitoring, sales and the editors' desk",
        kind="service",
        owner="rex",
        # Incidents it reports start others: what a run calls is started in its initiator's name.
        roles=("operator", "requester"),
    ),
)


def find_member(username: str) -> Member:
    """Return a member of the cast."""
    return next(member for member in CAST if member.username == username)


AUTHOR, PUBLISHER = find_member("mara"), find_member("pia")
