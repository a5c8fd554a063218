"""What the incident workflows call: a catalog, logs, remedies, a probe. Read `diagnose` first.

Services are in `catalog.json`, their logs in `logs/`, all made up; one host has none, as hosts do.
What was done to a service in an incident is kept in a small database. A service is well again when
the remedy its trouble needs was tried often enough.
"""

import json
import re
import sqlite3
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from countersign import function
from examples.systems import System, SystemRefusedError

_FOLDER = Path(__file__).parent
_LINE = re.compile(r"(\S+) (INFO|WARN|ERROR) (.*)")
_VARIABLE = re.compile(r"\d+(?:\.\d+)*")  # numbers and addresses, which make equal lines differ
_SIGNATURES_MAX = 3
RESPONSE = System(
    name="response",
    schema=("CREATE TABLE IF NOT EXISTS acts (incident TEXT, service TEXT, remedy TEXT)",),
)


@function("incident.enrich", idempotent=True)
def enrich(*, service: str, severity: str) -> dict[str, Any]:
    """Look a service up.

    Returns:
        `{hosts, owner, data, severity}`; `data` is what is at risk.

    Raises:
        SystemRefusedError: for a service nobody knows.
    """
    known = _find(service)
    return {
        "hosts": known["hosts"],
        "owner": known["owner"],
        "data": known["data"],
        "severity": severity,
    }


@function("incident.diagnose", idempotent=True)
def diagnose(*, service: str, host: str) -> dict[str, Any]:
    """Read a host's log.

    Returns:
        `{host, says, lines, errors, warnings, signatures: [{says, count}], last}`: the frequent
        kinds of lines that are not INFO, numbers left out, and the newest such line.

    Raises:
        SystemRefusedError: when the host does not answer.
    """
    if host not in _find(service)["hosts"]:
        raise SystemRefusedError(f"{host} is no host of {service}")
    path = _FOLDER / "logs" / f"{Path(host).name}.log"
    if not path.is_file():
        raise SystemRefusedError(f"{host} does not answer")
    lines = [found for line in path.read_text().splitlines() if (found := _LINE.match(line))]
    loud = [found for found in lines if found[2] != "INFO"]
    kinds = Counter(_VARIABLE.sub("#", found[3]) for found in loud)
    levels = Counter(found[2] for found in lines)
    most = kinds.most_common(1)
    often = f"; {most[0][1]} times: {most[0][0]}" if most else ""
    return {
        "host": host,
        "says": f"{host}: {levels['ERROR']} errors, {levels['WARN']} warnings{often}",
        "lines": len(lines),
        "errors": levels["ERROR"],
        "warnings": levels["WARN"],
        "signatures": [
            {"says": says, "count": count} for says, count in kinds.most_common(_SIGNATURES_MAX)
        ],
        "last": loud[-1][1] if loud else "",
    }


@function("incident.act", idempotent=True)
def act(*, incident: str, service: str, remedy: str) -> dict[str, Any]:
    """Try a remedy on a service."""
    hosts = _find(service)["hosts"]

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        database.execute("INSERT INTO acts VALUES (?, ?, ?)", (incident, service, remedy))
        return {"remedy": remedy, "hosts": len(hosts)}

    return RESPONSE.change(apply)


@function("incident.probe", idempotent=True)
def probe(*, incident: str, service: str) -> dict[str, Any]:
    """Look whether a service is well.

    Returns:
        `{healthy, says}`.
    """
    rows = RESPONSE.read("SELECT remedy FROM acts WHERE incident = ?", (incident,))
    tried = Counter(remedy for (remedy,) in rows)
    known = _find(service)
    healthy = all(tried[remedy] >= count for remedy, count in known["needs"].items())
    says = "no new findings for a minute" if healthy else f"still signs of a {known['cause']}"
    return {"healthy": healthy, "says": says}


@function("incident.restore", idempotent=True)
def restore(*, incident: str, service: str) -> dict[str, Any]:
    """Put back what remedies that did not help have changed."""

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        gone = database.execute(
            "DELETE FROM acts WHERE incident = ? AND service = ?", (incident, service)
        )
        return {"put_back": gone.rowcount}

    return RESPONSE.change(apply)


def _find(service: str) -> dict[str, Any]:
    known: dict[str, Any] | None = _read_catalog().get(service)
    if known is None:
        raise SystemRefusedError(f"the catalog has no service {service}")
    return known


@cache
def _read_catalog() -> dict[str, Any]:
    catalog: dict[str, Any] = json.loads((_FOLDER / "catalog.json").read_text(encoding="utf-8"))
    return catalog
