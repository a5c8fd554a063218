"""What the onboarding workflow calls. Read `screen` and `check_vat` first.

The watch list is made up. Accounts are kept in a small database that stands in for the product's.
"""

import csv
import sqlite3
import unicodedata
from collections.abc import Callable, Mapping
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import Any

from countersign import function
from examples.systems import System, SystemRefusedError

_WATCHLIST = Path(__file__).parent / "watchlist.csv"
_HIT_PERCENT = 80  # names that resemble each other this much are shown to people
_SURE_PERCENT = 95
_SEATS = {"starter": 5, "business": 50, "enterprise": 1_000}
TENANTS = System(
    name="tenants",
    schema=(
        """CREATE TABLE IF NOT EXISTS tenants
           (tenant TEXT PRIMARY KEY, customer TEXT UNIQUE, company TEXT, plan TEXT)""",
        "CREATE TABLE IF NOT EXISTS users (tenant TEXT, email TEXT, PRIMARY KEY (tenant, email))",
    ),
)


@function("onboarding.check_vat", idempotent=True)
def check_vat(*, country: str, number: str) -> dict[str, Any]:
    """Compute the check digits of a VAT number; whether it is in use only the state knows.

    Returns:
        `{valid, reason}`.
    """
    digits = number[2:]
    if number[:2] != country:
        return {"valid": False, "reason": f"the number is not one of {country}"}
    if not _CHECKS[country](digits):
        return {"valid": False, "reason": "the check digits are wrong"}
    return {"valid": True, "reason": "the check digits are right"}


@function("onboarding.screen", idempotent=True)
def screen(*, names: list[str], company: str) -> dict[str, Any]:
    """Compare names with the watch list: without accents, case and the order of words.

    Returns:
        `{hits: [{name, listed, program, percent}], highest_percent}`, best match first.
    """
    hits: list[dict[str, Any]] = [
        {
            "name": name,
            "listed": row["name"],
            "program": row["program"],
            "percent": percent,
            "says": f"{name} resembles {row['name']} ({row['program']}) by {percent} %",
        }
        for name in (*names, company)
        for row in _read_watchlist()
        if (percent := _likeness(name, row["name"])) >= _HIT_PERCENT
    ]
    hits.sort(key=lambda hit: -hit["percent"])
    return {"hits": hits, "highest_percent": max((hit["percent"] for hit in hits), default=0)}


@function("onboarding.rate", idempotent=True)
def rate(*, vat_valid: bool, highest_percent: int, plan: str) -> dict[str, Any]:
    """Say how risky it is to take a customer on.

    Returns:
        `{risk, reasons}`: low, medium or high, and why.
    """
    reasons = []
    if highest_percent >= _SURE_PERCENT:
        reasons.append("an owner is on the watch list")
    elif highest_percent:
        reasons.append("an owner's name resembles one on the watch list")
    if not vat_valid:
        reasons.append("the VAT number is wrong")
    if plan == "enterprise":
        reasons.append("the largest plan is paid afterwards")
    high = highest_percent >= _SURE_PERCENT or len(reasons) > 1
    return {"risk": "high" if high else "medium" if reasons else "low", "reasons": reasons}


@function("onboarding.set_up", idempotent=True)
def set_up(*, customer: str, company: str, plan: str) -> dict[str, Any]:
    """Make the customer's account.

    Returns:
        `{tenant, seats}`.
    """

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        tenant = f"{_fold(company).replace(' ', '-')}-{customer[2:]}"
        row = (tenant, customer, company, plan)
        database.execute("INSERT INTO tenants VALUES (?, ?, ?, ?)", row)
        return {"tenant": tenant, "seats": _SEATS[plan]}

    return TENANTS.change(apply)


@function("onboarding.close", idempotent=True)
def close(*, customer: str) -> dict[str, Any]:
    """Remove a customer's account and its users."""

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        rows = database.execute(
            "DELETE FROM tenants WHERE customer = ? RETURNING tenant", (customer,)
        ).fetchall()
        database.executemany("DELETE FROM users WHERE tenant = ?", rows)
        return {"closed": [tenant for (tenant,) in rows]}

    return TENANTS.change(apply)


@function("onboarding.import_users", idempotent=True)
def import_users(*, tenant: str, seats: int, users: list[str]) -> dict[str, Any]:
    """Make the accounts of the people the contract names.

    Raises:
        SystemRefusedError: when they are more than the plan has seats for.
    """
    if len(users) > seats:
        raise SystemRefusedError(f"{len(users)} people, and the plan has {seats} seats")

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        rows = [(tenant, email.strip().lower()) for email in users]
        database.executemany("INSERT OR IGNORE INTO users VALUES (?, ?)", rows)
        return {"imported": len(users)}

    return TENANTS.change(apply)


# --- check digits --------------------------------------------------------------------------------


def _check_germany(digits: str) -> bool:
    """Source: ISO 7064, MOD 11,10."""
    if len(digits) != 9 or not digits.isdigit():  # noqa: PLR2004  # the length of the number
        return False
    product = 10
    for digit in digits[:8]:
        total = (int(digit) + product) % 10 or 10
        product = 2 * total % 11
    return (11 - product) % 10 == int(digits[8])


def _check_austria(digits: str) -> bool:
    """U and eight digits, the last one of a Luhn sum with 96 as its start."""
    if len(digits) != 9 or digits[0] != "U" or not digits[1:].isdigit():  # noqa: PLR2004
        return False
    numbers = [int(digit) for digit in digits[1:]]
    total = sum(
        number if index % 2 == 0 else number * 2 // 10 + number * 2 % 10
        for index, number in enumerate(numbers[:7])
    )
    return (96 - total) % 10 == numbers[7]


def _check_belgium(digits: str) -> bool:
    whole = digits.isdigit() and len(digits) == 10  # noqa: PLR2004
    return whole and 97 - int(digits[:8]) % 97 == int(digits[8:])


def _check_luxembourg(digits: str) -> bool:
    whole = digits.isdigit() and len(digits) == 8  # noqa: PLR2004
    return whole and int(digits[:6]) % 89 == int(digits[6:])


_CHECKS: Mapping[str, Callable[[str], bool]] = {
    "DE": _check_germany,
    "AT": _check_austria,
    "BE": _check_belgium,
    "LU": _check_luxembourg,
}


def _likeness(one: str, other: str) -> int:
    """Return how alike two names are, in percent."""
    first, second = (" ".join(sorted(_fold(name).split())) for name in (one, other))
    return round(100 * SequenceMatcher(None, first, second).ratio())


def _fold(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = "".join(letter if letter.isalnum() else " " for letter in plain.lower())
    return " ".join(words.split())


@cache
def _read_watchlist() -> list[dict[str, str]]:
    with _WATCHLIST.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
