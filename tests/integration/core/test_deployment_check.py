"""`manage.py check --deploy` is silent about production and refuses everything else."""

import os
import subprocess
import sys

import pytest

from core.settings.env import BASE_DIR
from core.toolkit.sealing import derive_key


def _check(profile, **variables):
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=BASE_DIR,
        env={
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": f"core.settings.{profile}",
            "DATABASE_URL": "postgresql://db.example.org/countersign",
            "REDIS_URL": "redis://redis.example.org/0",
            "SECRET_KEY": "Dq8vKx2mTz6nRb4wYc9pLf3hGj7sXe5aUo1iNk0tVrMdBqWyEz",
            "SECRETS_KEYS": "HpYy8Nn0nS9m4qYwq5nq0oVq3G1kq0a8F2c7l5w9xZs=",
            "PUBLIC_URL": "https://countersign.example.org",
            "LEDGER_ORIGIN": "countersign.example.org/ledger",
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_production_has_nothing_to_complain_about():
    done = _check("production")

    assert "System check identified no issues" in done.stdout + done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("profile", ["demo", "local"])
def test_a_profile_for_ones_own_machine_is_refused(profile):
    done = _check(profile)

    assert "core.E001" in done.stderr
    assert done.returncode == 1


def test_a_key_that_is_derived_is_refused():
    secret_key = "Dq8vKx2mTz6nRb4wYc9pLf3hGj7sXe5aUo1iNk0tVrMdBqWyEz"

    done = _check("production", SECRETS_KEYS=derive_key(secret_key=secret_key))

    assert "core.E002" in done.stderr
    assert done.returncode == 1


def test_a_command_says_what_is_wrong_with_the_settings_without_a_traceback():
    done = _check("production", PUBLIC_URL="", PORT="x")

    assert done.stderr.startswith("The settings do not hold:\n")
    assert "PUBLIC_URL is not set" in done.stderr
    assert "PORT is 'x'" in done.stderr
    assert done.returncode == 1
