"""What the vulnerability workflow calls. Read `match` first.

Bills of materials are CycloneDX 1.6 and advisories are OSV, as scanners and databases write them;
the components are made up. What is installed in a service is kept in a small database.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from countersign import function
from examples.systems import System, SystemRefusedError
from examples.vulnerabilities.scoring import base_score, is_affected, version_key

_FOLDER = Path(__file__).parent
INSTALLED = System(
    name="installed",
    schema=(
        """CREATE TABLE IF NOT EXISTS installed
           (service TEXT, name TEXT, version TEXT, PRIMARY KEY (service, name))""",
    ),
)


@function("vulnerabilities.inventory", idempotent=True)
def inventory(*, service: str) -> dict[str, Any]:
    """Read a service's bill of materials.

    Returns:
        `{components: [{name, version}], count, sha256}`, the digest of the file's bytes.

    Raises:
        SystemRefusedError: when there is none, or it is not CycloneDX.
    """
    path = _FOLDER / "boms" / f"{Path(service).name}.cdx.json"
    if not path.is_file():
        raise SystemRefusedError(f"{service} has no bill of materials")
    content = path.read_bytes()
    bill = json.loads(content)
    if bill.get("bomFormat") != "CycloneDX":
        raise SystemRefusedError(f"{path.name} is not CycloneDX")
    components = [{"name": item["name"], "version": item["version"]} for item in bill["components"]]
    return {
        "components": components,
        "count": len(components),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


@function("vulnerabilities.match", idempotent=True)
def match(*, components: list[dict[str, str]], threshold: int) -> dict[str, Any]:
    """Find the advisories that are about these components and score them.

    Returns:
        `{findings, serious, worst, fixes}`: findings worst first, how many reach the threshold,
        the highest score in tenths, and the update of each component that has a serious one.
    """
    findings = sorted(
        (finding for component in components for finding in _find(component)),
        key=lambda finding: (-finding["score_tenths"], finding["id"]),
    )
    serious = [finding for finding in findings if finding["score_tenths"] >= threshold]
    return {
        "findings": findings,
        "serious": len(serious),
        "worst": max((finding["score_tenths"] for finding in findings), default=0),
        "fixes": list(_list_fixes(serious)),
    }


@function("vulnerabilities.update", idempotent=True)
def update(*, service: str, fix: dict[str, Any]) -> dict[str, Any]:
    """Install the version that fixes a component.

    Raises:
        SystemRefusedError: when nobody has released one.
    """
    if fix["to"] is None:
        raise SystemRefusedError(f"there is no version of {fix['name']} without {fix['id']}")
    return _install(service, fix["name"], fix["to"])


@function("vulnerabilities.revert", idempotent=True)
def revert(*, service: str, fix: dict[str, Any]) -> dict[str, Any]:
    """Install what was there before."""
    return _install(service, fix["name"], fix["from"])


@function("vulnerabilities.verify", idempotent=True)
def verify(*, service: str, components: list[dict[str, str]], threshold: int) -> dict[str, Any]:
    """Match again what is installed now.

    Raises:
        SystemRefusedError: when something serious is left.
    """
    rows = INSTALLED.read("SELECT name, version FROM installed WHERE service = ?", (service,))
    installed = dict(rows)
    now = [{**item, "version": installed.get(item["name"], item["version"])} for item in components]
    result: dict[str, Any] = match(components=now, threshold=threshold)
    if result["serious"]:
        ids = [finding["id"] for finding in result["findings"]]
        raise SystemRefusedError(f"{service} still has {', '.join(ids)}")
    return {"serious": 0, "updated": len(rows)}


def _find(component: dict[str, str]) -> Iterable[dict[str, Any]]:
    for advisory in _read_advisories():
        for affected in advisory["affected"]:
            bounds: dict[str, str] = {}
            for event in affected["ranges"][0]["events"]:
                bounds |= event
            fixed = bounds.get("fixed")
            if affected["package"]["name"] == component["name"] and is_affected(
                component["version"], introduced=bounds["introduced"], fixed=fixed
            ):
                score = base_score(advisory["severity"][0]["score"])
                installed = f"{component['name']} {component['version']}"
                yield {
                    "id": advisory["id"],
                    "component": component["name"],
                    "version": component["version"],
                    "fixed_in": fixed,
                    "score_tenths": score,
                    "says": f"{score / 10} {installed}: {advisory['summary']} ({advisory['id']})",
                }


def _list_fixes(serious: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """Yield one update for each component, to the newest version any finding needs."""
    for name in dict.fromkeys(finding["component"] for finding in serious):
        mine = [finding for finding in serious if finding["component"] == name]
        needed = [finding["fixed_in"] for finding in mine]
        before, after = mine[0]["version"], None
        if None not in needed:
            after = max(needed, key=version_key)
        says = f"{name} {before} to {after}" if after else f"{name} {before}: nothing to update to"
        yield {"name": name, "from": before, "to": after, "id": mine[0]["id"], "says": says}


def _install(service: str, name: str, version: str) -> dict[str, Any]:
    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        database.execute(
            "INSERT INTO installed VALUES (?, ?, ?) "
            "ON CONFLICT (service, name) DO UPDATE SET version = excluded.version",
            (service, name, version),
        )
        return {"name": name, "version": version}

    return INSTALLED.change(apply)


@cache
def _read_advisories() -> list[dict[str, Any]]:
    text = (_FOLDER / "advisories.json").read_text(encoding="utf-8")
    advisories: list[dict[str, Any]] = json.loads(text)
    return advisories
