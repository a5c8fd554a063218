"""What the provisioning workflow calls. Read `plan` first.

The cloud is a small database: networks take free blocks of their region, machines count against
its quota. Prices and quotas are in `cloud.json`.
"""

import hashlib
import ipaddress
import json
import sqlite3
from functools import cache
from pathlib import Path
from typing import Any

from countersign import function
from examples.systems import System, SystemRefusedError

_CLOUD = Path(__file__).parent / "cloud.json"
_SUBNET_BITS = 26  # 62 addresses for each environment
CLOUD = System(
    name="cloud",
    schema=(
        """CREATE TABLE IF NOT EXISTS resources
           (environment TEXT, kind TEXT, region TEXT, detail TEXT,
            PRIMARY KEY (environment, kind))""",
    ),
)


@function("provisioning.plan", idempotent=True)
def plan(*, name: str, region: str, size: str, public: bool, machines: int) -> dict[str, Any]:
    """Work out what would be made and what it costs a month.

    Returns:
        `{resources, machines, monthly_cents, warnings, sha256}`; the digest of the resources'
        canonical JSON.

    Raises:
        SystemRefusedError: when there is such an environment.
    """
    if CLOUD.read("SELECT 1 FROM resources WHERE environment = ? LIMIT 1", (name,)):
        raise SystemRefusedError(f"there is an environment {name}")
    prices, area = _read_cloud()["sizes"][size], _read_cloud()["regions"][region]
    names = [
        {"name": f"machine-{number}", "cpus": prices["cpus"], "memory_gb": prices["memory_gb"]}
        for number in range(1, machines + 1)
    ]
    monthly = machines * prices["machine_cents"] + prices["database_cents"]
    monthly = monthly * area["price_percent"] // 100
    resources = ["network"]
    if prices["database_cents"]:
        resources.append(f"database ({size})")
    resources.append(f"{machines} machines of {prices['cpus']} CPUs and {prices['memory_gb']} GB")
    if public:
        resources.append("public address")
        monthly += _read_cloud()["public_address_cents"]
    warnings = []
    if size == "large" and "test" in name:
        warnings.append("a test environment this large is unusual")
    if public:
        warnings.append("the whole internet can reach it")
    digest = hashlib.sha256(json.dumps([name, region, resources, monthly]).encode()).hexdigest()
    return {
        "resources": resources,
        "machines": names,
        "monthly_cents": monthly,
        "warnings": warnings,
        "sha256": digest,
    }


@function("provisioning.make_network", idempotent=True)
def make_network(*, name: str, region: str) -> dict[str, Any]:
    """Take the first free block of a region.

    Raises:
        SystemRefusedError: when none is free.
    """
    block = ipaddress.ip_network(_read_cloud()["regions"][region]["block"])

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        query = "SELECT detail FROM resources WHERE region = ? AND kind = 'network'"
        taken = {detail for (detail,) in database.execute(query, (region,))}
        free = (str(net) for net in block.subnets(new_prefix=_SUBNET_BITS))
        cidr = next((net for net in free if net not in taken), None)
        if cidr is None:
            raise SystemRefusedError(f"{region} has no free network")
        _insert(database, name, "network", region, cidr)
        return {"cidr": cidr}

    return CLOUD.change(apply)


@function("provisioning.make_database", idempotent=True)
def make_database(*, name: str, region: str, size: str) -> dict[str, Any]:
    """Make a database inside the environment's network."""

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        _insert(database, name, "database", region, size)
        return {"endpoint": f"db.{name}.{region}.cloud.internal"}

    return CLOUD.change(apply)


@function("provisioning.make_machine", idempotent=True)
def make_machine(*, name: str, region: str, machine: dict[str, Any], cidr: str) -> dict[str, Any]:
    """Start a machine with the next address of the network.

    Raises:
        SystemRefusedError: when the region's quota is used up.
    """
    most = _read_cloud()["regions"][region]["machines_max"]
    number = int(machine["name"].removeprefix("machine-"))

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        query = "SELECT count(*) FROM resources WHERE region = ? AND kind LIKE 'machine-%'"
        if database.execute(query, (region,)).fetchone()[0] >= most:
            raise SystemRefusedError(f"the quota of {region} is {most} machines; all are in use")
        address = str(ipaddress.ip_network(cidr)[number + 3])  # the first ones are the cloud's own
        _insert(database, name, machine["name"], region, address)
        return {"machine": machine["name"], "address": address}

    return CLOUD.change(apply)


@function("provisioning.make_name", idempotent=True)
def make_name(*, name: str, region: str, public: bool) -> dict[str, Any]:
    """Give the environment a host name."""
    host = f"{name}.{region}.{'example.com' if public else 'cloud.internal'}"

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        _insert(database, name, "name", region, host)
        return {"host": host}

    return CLOUD.change(apply)


@function("provisioning.destroy", idempotent=True)
def destroy(*, name: str, kind: str) -> dict[str, Any]:
    """Take one resource of an environment down; what is not there is fine."""

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        gone = database.execute(
            "DELETE FROM resources WHERE environment = ? AND kind = ?", (name, kind)
        )
        return {"destroyed": gone.rowcount}

    return CLOUD.change(apply)


def _insert(database: sqlite3.Connection, name: str, kind: str, region: str, detail: str) -> None:
    row = (name, kind, region, detail)
    database.execute("INSERT INTO resources VALUES (?, ?, ?, ?)", row)


@cache
def _read_cloud() -> dict[str, Any]:
    cloud: dict[str, Any] = json.loads(_CLOUD.read_text(encoding="utf-8"))
    return cloud
