"""What the order workflow calls: prices, stock, payments, parcels. Read `price` first.

Stock and payments are kept in small databases that stand in for the shop's systems. The payment
provider's test cards say what happens: `tok_visa` works, with `tok_slow` the provider is busy twice
and then works, `tok_declined` is declined.
"""

import csv
import json
import sqlite3
from functools import cache
from pathlib import Path
from typing import Any

from countersign import TransientError, current_attempt, function
from examples.systems import System, SystemRefusedError

_FOLDER = Path(__file__).parent
_BUSY_ATTEMPTS = 2  # how often the provider is busy for a slow card
STOCK = System(
    name="stock",
    schema=(
        "CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, quantity INTEGER NOT NULL)",
        "CREATE TABLE IF NOT EXISTS reserved (order_id TEXT, sku TEXT, quantity INTEGER)",
    ),
)
PAYMENTS = System(
    name="payments",
    schema=(
        """CREATE TABLE IF NOT EXISTS payments
           (id TEXT PRIMARY KEY, order_id TEXT, cents INTEGER, status TEXT NOT NULL)""",
    ),
)
PARCELS = System(
    name="parcels",
    schema=("CREATE TABLE IF NOT EXISTS parcels (label TEXT PRIMARY KEY, order_id TEXT)",),
)


@function("orders.price", idempotent=True)
def price(*, lines: list[dict[str, Any]], country: str) -> dict[str, Any]:
    """Look up what is ordered, and add it up.

    Returns:
        `{lines: [{sku, name, quantity, cents}], net, tax, total, grams}`, money in cents; tax is
        rounded half up.

    Raises:
        SystemRefusedError: for something the shop does not sell, or a country without a tax rate.
    """
    catalog, rates = _read_catalog(), _read_carriers()["tax_percent"]
    unknown = sorted({line["sku"] for line in lines} - set(catalog))
    if unknown:
        raise SystemRefusedError(f"the shop does not sell {', '.join(unknown)}")
    if country not in rates:
        raise SystemRefusedError(f"the shop does not know the tax of {country}")
    priced = [
        {
            "sku": line["sku"],
            "name": catalog[line["sku"]]["name"],
            "quantity": line["quantity"],
            "cents": line["quantity"] * int(catalog[line["sku"]]["cents"]),
            "says": f"{line['quantity']} x {catalog[line['sku']]['name']}",
        }
        for line in lines
    ]
    net = sum(line["cents"] for line in priced)
    tax = (net * rates[country] + 50) // 100
    grams = sum(line["quantity"] * int(catalog[line["sku"]]["grams"]) for line in lines)
    return {"lines": priced, "net": net, "tax": tax, "total": net + tax, "grams": grams}


@function("orders.reserve", idempotent=True)
def reserve(*, order: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Set goods aside for an order: all of it or nothing.

    Raises:
        SystemRefusedError: when there is too little of something, naming it.
    """

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        fill = [(sku, int(row["stock"])) for sku, row in _read_catalog().items()]
        database.executemany("INSERT OR IGNORE INTO stock VALUES (?, ?)", fill)
        for line in lines:
            sku, quantity = line["sku"], line["quantity"]
            taken = database.execute(
                "UPDATE stock SET quantity = quantity - ? WHERE sku = ? AND quantity >= ?",
                (quantity, sku, quantity),
            )
            if taken.rowcount == 0:
                left = _left(database, sku)
                raise SystemRefusedError(f"{quantity} of {sku} are ordered and {left} are there")
            database.execute("INSERT INTO reserved VALUES (?, ?, ?)", (order, sku, quantity))
        return {"reserved": {line["sku"]: line["quantity"] for line in lines}}

    return STOCK.change(apply)


@function("orders.release", idempotent=True)
def release(*, order: str) -> dict[str, Any]:
    """Put what was set aside for an order back into the stock."""

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        rows = database.execute(
            "DELETE FROM reserved WHERE order_id = ? RETURNING sku, quantity", (order,)
        ).fetchall()
        database.executemany(
            "UPDATE stock SET quantity = quantity + ? WHERE sku = ?",
            [(quantity, sku) for sku, quantity in rows],
        )
        return {"released": dict(rows)}

    return STOCK.change(apply)


@function("orders.charge", idempotent=True)
def charge(*, order: str, card: str, cents: int) -> dict[str, Any]:
    """Charge a card.

    Raises:
        TransientError: when the provider is busy.
        SystemRefusedError: when the card is declined.
    """
    attempt = current_attempt()
    if card == "tok_slow" and attempt.number <= _BUSY_ATTEMPTS:
        raise TransientError("the payment provider is busy (503)")
    if card == "tok_declined":
        raise SystemRefusedError("the card was declined: insufficient funds")

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        payment = f"pay_{attempt.run_id[-12:]}"
        row = (payment, order, cents, "captured")
        database.execute("INSERT INTO payments VALUES (?, ?, ?, ?)", row)
        return {"payment": payment, "attempts": attempt.number}

    return PAYMENTS.change(apply)


@function("orders.refund", idempotent=True)
def refund(*, payment: str) -> dict[str, Any]:
    """Give the money of a payment back."""

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        rows = database.execute(
            "UPDATE payments SET status = 'refunded' WHERE id = ? AND status = 'captured' "
            "RETURNING cents",
            (payment,),
        ).fetchall()
        return {"refunded_cents": sum(cents for (cents,) in rows)}

    return PAYMENTS.change(apply)


@function("orders.ship", idempotent=True)
def ship(*, order: str, country: str, grams: int) -> dict[str, Any]:
    """Hand the parcel to the first carrier that takes its weight to that country.

    Raises:
        SystemRefusedError: when none does.
    """
    for carrier in _read_carriers()["carriers"]:
        if country in carrier["countries"] and grams <= carrier["grams_max"]:
            break
    else:
        raise SystemRefusedError(f"no carrier takes {grams} g to {country}")

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        label = f"{country}-{order}-{grams}"
        database.execute("INSERT OR IGNORE INTO parcels VALUES (?, ?)", (label, order))
        return {"carrier": carrier["name"], "label": label}

    return PARCELS.change(apply)


@cache
def _read_catalog() -> dict[str, dict[str, str]]:
    with (_FOLDER / "catalog.csv").open(encoding="utf-8", newline="") as file:
        return {row["sku"]: row for row in csv.DictReader(file)}


@cache
def _read_carriers() -> dict[str, Any]:
    carriers: dict[str, Any] = json.loads((_FOLDER / "carriers.json").read_text(encoding="utf-8"))
    return carriers


def _left(database: sqlite3.Connection, sku: str) -> int:
    left: int = database.execute("SELECT quantity FROM stock WHERE sku = ?", (sku,)).fetchone()[0]
    return left
