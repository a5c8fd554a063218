"""Imports point down, and the pure packages know no framework."""

import subprocess
import sys

import pytest

from tests.architecture.sources import ROOT

PURE = (
    "core.kernel",
    "core.identity.domain",
    "audit.domain",
    "engine.domain",
    "approvals.domain",
    "countersign",
)
FRAMEWORKS = ("django", "rest_framework", "celery", "channels", "psycopg", "redis")

_LINT = """
import sys
from importlinter.cli import lint_imports
sys.exit(lint_imports(config_filename="pyproject.toml", no_cache=True, no_logo=True))
"""
# Imports every module of a package in a fresh interpreter and says what came along.
_PROBE = """
import importlib, pkgutil, sys
name, *frameworks = sys.argv[1:]
package = importlib.import_module(name)
for module in pkgutil.walk_packages(package.__path__, prefix=f"{name}."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(*(item for item in frameworks if item in sys.modules))
"""


def test_imports_point_down_and_pure_packages_import_no_framework():
    # In a process of its own: it configures logging in a way that silences every known logger.
    done = subprocess.run(
        [sys.executable, "-c", _LINT], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", PURE)
def test_a_pure_package_loads_no_framework_even_through_others(package):
    command = [sys.executable, "-W", "error", "-c", _PROBE, package, *FRAMEWORKS]

    probe = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert probe.returncode == 0, probe.stderr
    assert probe.stdout.split() == []


def test_the_probe_sees_a_framework_that_a_package_loads():
    command = [sys.executable, "-c", _PROBE, "django.dispatch", *FRAMEWORKS]

    probe = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert probe.stdout.split() == ["django"]
