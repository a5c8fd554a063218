"""What the release workflow calls: tests, scan, build and smoke test of the package beside it.

Each works on a fresh copy in a temporary folder, so that runs do not see each other. Paths never
come from a definition: there is one package, and it is here.
"""

import hashlib
import json
import re
import shutil
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import httpx

from countersign import TransientError, current_attempt, function
from examples.release.processes import Finished, run_program
from examples.release.scanning import scan_package

PACKAGE = Path(__file__).parent / "package"
PROBE = Path(__file__).parent / "probe.py"
NAME = "tidyhours"

_VERSION = re.compile(r"\d{1,4}\.\d{1,4}\.\d{1,4}")
_ENVIRONMENTS = ("staging", "production")
# Any fixed instant: the same sources then give the same wheel, byte for byte.
_SOURCE_DATE_EPOCH = "1735689600"
_UPLOAD_TIMEOUT_SECONDS = 30.0
_SERVER_ERROR = 500


class ReleaseError(Exception):
    """A part of the release says no. Trying again would end the same way."""


@function("release.run_tests", idempotent=True)
def run_tests() -> dict[str, Any]:
    """Run the package's own tests.

    Returns:
        `{tests, passed, skipped, duration_ms, python}`.

    Raises:
        ReleaseError: when a test fails, naming the first few, or when there are none.
    """
    with _fresh_copy() as (folder, copy):
        report = folder / "report.xml"
        began = monotonic()
        finished = run_program(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                f"--junitxml={report}",
            ],
            folder=copy,
            environment={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        )
        duration_ms = round((monotonic() - began) * 1000)
        if not report.is_file():
            raise ReleaseError(f"pytest ended with {finished.code}: {finished.output}")
        counts, failed = _get_report(report)
    if failed:
        raise ReleaseError(f"{len(failed)} of {counts['tests']} tests failed: {failed[:5]}")
    if finished.code != 0 or counts["passed"] == 0:
        raise ReleaseError(f"pytest ended with {finished.code}: {finished.output}")
    return {
        **counts,
        "duration_ms": duration_ms,
        "python": ".".join(str(part) for part in sys.version_info[:3]),
    }


@function("release.scan", idempotent=True)
def scan() -> dict[str, Any]:
    """Check the package's files and the versions it pins.

    Returns:
        `{files, findings, critical, report_sha256}`; `findings` worst first, `report_sha256` of
        their canonical JSON.
    """
    return scan_package(PACKAGE)


@function("release.build", idempotent=True)
def build(*, version: str, target: str, sabotage: bool = False) -> dict[str, Any]:
    """Build the wheel of a version and store it with the target.

    Args:
        version: what to call it, such as `1.4.0`.
        target: the address of the target service.
        sabotage: leave a module out of the wheel, as a bad packaging change would. The tests run
            on the sources and do not notice; the smoke test does.

    Returns:
        `{filename, sha256, size_bytes, version}`.
    """
    if not _VERSION.fullmatch(version):
        raise ReleaseError(f"{version!r} is not a version such as 1.4.0")
    with _fresh_copy() as (folder, copy):
        _stamp_version(copy / "pyproject.toml", version)
        if sabotage:
            (copy / "src" / NAME / "summing.py").unlink()
        options = ["--wheel", "--no-isolation", "--outdir", str(folder)]
        finished = run_program(
            [sys.executable, "-m", "build", *options, str(copy)],
            folder=copy,
            environment={"SOURCE_DATE_EPOCH": _SOURCE_DATE_EPOCH},
        )
        wheels = sorted(folder.glob("*.whl"))
        if finished.code != 0 or len(wheels) != 1:
            raise ReleaseError(f"the build ended with {finished.code}: {finished.output}")
        content = wheels[0].read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    _upload(f"{target}/artifacts/{sha256}/{wheels[0].name}", content)
    return {
        "filename": wheels[0].name,
        "sha256": sha256,
        "size_bytes": len(content),
        "version": version,
    }


@function("release.smoke", idempotent=True)
def smoke(*, version: str, sha256: str, env: str, target: str) -> dict[str, Any]:
    """Install the released version from the target's index into a fresh folder, and use it.

    pip compares the wheel with `sha256`, so what works here is what people approved.

    Returns:
        `{version, week_minutes, module}`: what the installed package said.

    Raises:
        ReleaseError: when it cannot be installed, imported, or computes something else.
    """
    if not _VERSION.fullmatch(version) or env not in _ENVIRONMENTS:
        raise ReleaseError(f"there is no release {version!r} in {env!r}")
    with tempfile.TemporaryDirectory(prefix="smoke-") as name:
        folder = Path(name)
        installed = folder / "installed"
        wanted = folder / "wanted.txt"
        wanted.write_text(f"{NAME}=={version} --hash=sha256:{sha256}\n", encoding="utf-8")
        finished = _install(folder, wanted=wanted, index=f"{target}/{env}/simple/")
        if finished.code != 0:
            raise ReleaseError(f"pip ended with {finished.code}: {finished.output[-800:]}")
        # -I: nothing of this process's environment or folder helps the import.
        arguments = [sys.executable, "-I", "-B", str(PROBE), str(installed)]
        imported = run_program(arguments, folder=folder)
    answer = imported.output.splitlines()[-1] if imported.output else ""
    if imported.code != 0:
        raise ReleaseError(f"the installed package does not work: {answer}")
    facts: dict[str, Any] = json.loads(answer)
    if facts["module"] != f"/{NAME}/__init__.py":
        raise ReleaseError(f"another package was imported: {facts['module']}")
    if facts["version"] != version:
        raise ReleaseError(f"version {facts['version']} was installed instead of {version}")
    if facts["week_minutes"] != facts.pop("week_minutes_expected"):
        raise ReleaseError(f"the installed package computes {facts['week_minutes']} minutes")
    return facts


def _install(folder: Path, *, wanted: Path, index: str) -> Finished:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--retries=1", "--timeout=10"]
    exact = ["--no-deps", "--no-cache-dir", "--only-binary=:all:", "--require-hashes"]
    where = ["--index-url", index, "--target", str(folder / "installed"), "-r", str(wanted)]
    return run_program(
        [sys.executable, "-m", "pip", "--isolated", "install", *quiet, *exact, *where],
        folder=folder,
        # The machine's own pip settings may add other indexes; this is about ours alone.
        environment={"PIP_CONFIG_FILE": "/dev/null", "NO_PROXY": "127.0.0.1,localhost"},
    )


@contextmanager
def _fresh_copy() -> Iterator[tuple[Path, Path]]:
    """Copy the package into a temporary folder; yields the folder and the copy."""
    with tempfile.TemporaryDirectory(prefix="release-") as name:
        folder = Path(name)
        copy = folder / "package"
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "dist", "build", ".*")
        shutil.copytree(PACKAGE, copy, ignore=ignored)
        yield folder, copy


def _stamp_version(pyproject: Path, version: str) -> None:
    text = pyproject.read_text(encoding="utf-8")
    stamped, count = re.subn(r'(?m)^version = ".*"$', f'version = "{version}"', text)
    if count != 1:
        raise ReleaseError("pyproject.toml has no single version line")
    pyproject.write_text(stamped, encoding="utf-8")


def _get_report(report: Path) -> tuple[dict[str, int], list[str]]:
    """Read pytest's own report: counts, and the names of the tests that failed."""
    suite = ET.parse(report).getroot().find("testsuite")  # noqa: S314  # pytest wrote it just now
    if suite is None:
        raise ReleaseError("pytest's report holds no results")
    tests = int(suite.get("tests", "0"))
    skipped = int(suite.get("skipped", "0"))
    failed = [
        f"{case.get('classname')}.{case.get('name')}"
        for case in suite.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    passed = tests - skipped - len(failed)
    return {"tests": tests, "passed": passed, "skipped": skipped}, failed


def _upload(url: str, content: bytes) -> None:
    headers = {"Idempotency-Key": current_attempt().idempotency_key}
    try:
        answer = httpx.put(
            url,
            content=content,
            headers=headers,
            timeout=_UPLOAD_TIMEOUT_SECONDS,
            trust_env=False,
        )
    except httpx.TransportError as error:
        raise TransientError(f"the artifact store cannot be reached: {error}") from error
    if answer.status_code >= _SERVER_ERROR:
        raise TransientError(f"the artifact store answered {answer.status_code}")
    if not answer.is_success:
        raise ReleaseError(f"the artifact store answered {answer.status_code}: {answer.text[:200]}")
