"""The agent's tools, and what may be said of a call before it is made. Read `check` first.

The help desk is a small database of tickets and customers' orders.
"""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from countersign import function
from examples.systems import System, SystemRefusedError

_REFUND_CENTS_MAX = 50_000
_HIGH_CENTS = 10_000
_ORDERS = (
    ("O-7001", "Lena Hoff", 8_900, "delivered"),
    ("O-7002", "Karl Busch", 24_900, "delivered"),
    ("O-7003", "Inge Roth", 4_500, "in transit"),
)
DESK = System(
    name="desk",
    schema=(
        """CREATE TABLE IF NOT EXISTS orders
           (id TEXT PRIMARY KEY, customer TEXT, cents INTEGER, status TEXT)""",
        "CREATE TABLE IF NOT EXISTS refunds (order_id TEXT PRIMARY KEY, cents INTEGER)",
        "CREATE TABLE IF NOT EXISTS erased (customer TEXT PRIMARY KEY)",
    ),
)

Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool: its arguments' names and types, whether it changes anything, and what it does."""

    arguments: Mapping[str, type]
    writes: bool
    preview: Callable[[Arguments], str]
    apply: Callable[[sqlite3.Connection, Arguments], dict[str, Any]]


@function("agent.check", idempotent=True)
def check(*, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Say what a call would do, before anybody is asked.

    Returns:
        `{writes, risk, cents, preview}`.

    Raises:
        SystemRefusedError: for a tool that is not on the list, wrong arguments, or too much money.
    """
    known = _find(tool, arguments)
    cents = arguments.get("cents", 0)
    if cents > _REFUND_CENTS_MAX:
        raise SystemRefusedError(f"an agent may ask for at most {_REFUND_CENTS_MAX} cents")
    high = tool == "erase_customer" or cents > _HIGH_CENTS
    risk = "high" if high else "medium" if known.writes else "low"
    return {
        "writes": known.writes,
        "risk": risk,
        "cents": cents,
        "preview": known.preview(arguments),
    }


@function("agent.call")
def call(*, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Call a tool.

    Raises:
        SystemRefusedError: as `check`, and when the help desk refuses.
    """
    known = _find(tool, arguments)

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        database.executemany("INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?)", _ORDERS)
        return known.apply(database, arguments)

    return DESK.change(apply)


# --- the tools -----------------------------------------------------------------------------------


def _look_up(database: sqlite3.Connection, arguments: Arguments) -> dict[str, Any]:
    customer, cents, status = _get_order(database, arguments["order"])
    return {"customer": customer, "cents": cents, "status": status}


def _refund(database: sqlite3.Connection, arguments: Arguments) -> dict[str, Any]:
    order, cents = arguments["order"], arguments["cents"]
    customer, paid, _ = _get_order(database, order)
    if cents > paid:
        raise SystemRefusedError(f"{order} was paid with {paid} cents")
    try:
        database.execute("INSERT INTO refunds VALUES (?, ?)", (order, cents))
    except sqlite3.IntegrityError as error:
        raise SystemRefusedError(f"{order} was refunded before") from error
    return {"refunded": cents, "to": customer}


def _erase(database: sqlite3.Connection, arguments: Arguments) -> dict[str, Any]:
    gone = database.execute("DELETE FROM orders WHERE customer = ?", (arguments["customer"],))
    database.execute("INSERT OR IGNORE INTO erased VALUES (?)", (arguments["customer"],))
    return {"erased_orders": gone.rowcount}


_TOOLS: Mapping[str, Tool] = {
    "look_up_order": Tool(
        arguments={"order": str},
        writes=False,
        preview=lambda arguments: f"reads {arguments['order']}",
        apply=_look_up,
    ),
    "refund": Tool(
        arguments={"order": str, "cents": int},
        writes=True,
        preview=lambda told: f"pays {told['cents'] / 100:.2f} EUR back for {told['order']}",
        apply=_refund,
    ),
    "erase_customer": Tool(
        arguments={"customer": str},
        writes=True,
        preview=lambda told: f"erases all orders of {told['customer']}; nobody can undo it",
        apply=_erase,
    ),
}


def _find(tool: str, arguments: Arguments) -> Tool:
    known = _TOOLS.get(tool)
    if known is None:
        raise SystemRefusedError(f"there is no tool {tool}; there are {', '.join(sorted(_TOOLS))}")
    given = {name: type(value) for name, value in arguments.items()}
    if given != dict(known.arguments):
        wanted = ", ".join(f"{name} ({kind.__name__})" for name, kind in known.arguments.items())
        raise SystemRefusedError(f"{tool} takes {wanted}")
    return known


def _get_order(database: sqlite3.Connection, order: str) -> tuple[str, int, str]:
    query = "SELECT customer, cents, status FROM orders WHERE id = ?"
    row = database.execute(query, (order,)).fetchone()
    if row is None:
        raise SystemRefusedError(f"there is no order {order}")
    return str(row[0]), int(row[1]), str(row[2])
