"""The functions of the release example: real pytest, real builds, real installs."""

import shutil
import threading

import httpx
import pytest

from countersign import TransientError
from countersign.functions import Attempt, attempt_context, find_function
from examples.release import functions
from examples.release.functions import ReleaseError
from examples.release.target import Target

pytestmark = [pytest.mark.processes]


@pytest.fixture
def target(tmp_path):
    """Run the target on a free port."""
    server = Target(port=0, folder=tmp_path / "target")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.url
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Let the functions work on a copy that the test may break."""
    copy = tmp_path / "package"
    shutil.copytree(functions.PACKAGE, copy)
    monkeypatch.setattr(functions, "PACKAGE", copy)
    return copy


def call(name, *, timeout_seconds=100.0, key="run:step:1", **arguments):
    attempt = Attempt(
        run_id="r",
        step="step",
        number=1,
        idempotency_key=key,
        timeout_seconds=timeout_seconds,
    )
    registered = find_function(name)
    assert registered is not None
    with attempt_context(attempt):
        return registered.body(**arguments)


def deploy(target, wheel, env="production"):
    body = {"env": env, **{name: wheel[name] for name in ("sha256", "filename", "version")}}
    return httpx.post(f"{target}/deploy", json=body).raise_for_status().json()


def test_the_packages_own_tests_run_and_are_counted(package):
    result = call("release.run_tests")

    assert result["tests"] == result["passed"] > 30
    assert result["skipped"] == 0
    assert result["duration_ms"] > 0
    assert not list(package.rglob("__pycache__")), "the package's own folder is not touched"


def test_a_failing_test_fails_the_step_and_is_named(package):
    module = package / "src/tidyhours/summing.py"
    module.write_text(module.read_text().replace("<= minute", "< minute"))

    with pytest.raises(ReleaseError, match=r"1 of \d+ tests failed: .*test_it_is_open"):
        call("release.run_tests")


def test_a_package_without_tests_or_with_broken_ones_does_not_pass(package):
    for path in (package / "tests").glob("test_*.py"):
        path.unlink()
    with pytest.raises(ReleaseError, match="pytest ended with 5"):
        call("release.run_tests")

    (package / "tests/test_broken.py").write_text("import nothing_of_the_kind\n")
    with pytest.raises(ReleaseError, match="failed"):
        call("release.run_tests")


def test_tests_that_hang_are_killed_with_their_attempt(package):
    (package / "tests/test_hang.py").write_text(
        "import time\n\ndef test_hang():\n    time.sleep(60)\n"
    )

    with pytest.raises(TransientError, match="was stopped after"):
        call("release.run_tests", timeout_seconds=2.0)


def test_programs_do_not_see_the_platforms_environment(package, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    (package / "tests/test_environment.py").write_text(
        "import os\n\ndef test_environment():\n    assert 'DATABASE_URL' not in os.environ\n"
    )

    assert call("release.run_tests")["passed"] > 30


def test_the_same_sources_give_the_same_wheel(target):
    first = call("release.build", version="1.4.0", target=target)
    again = call("release.build", version="1.4.0", target=target)
    other = call("release.build", version="1.4.1", target=target)

    assert first == again
    assert first["filename"] == "tidyhours-1.4.0-py3-none-any.whl"
    assert other["sha256"] != first["sha256"]


@pytest.mark.parametrize("version", ["1.4", "1.4.0; rm -rf", "../1.4.0", "1.4.0\n", ""])
def test_a_version_that_is_none_is_refused(target, version):
    with pytest.raises(ReleaseError, match="is not a version"):
        call("release.build", version=version, target=target)


def test_a_package_that_does_not_build_fails_the_step(package, target):
    (package / "README.md").unlink()

    with pytest.raises(ReleaseError, match="the build ended with 1"):
        call("release.build", version="1.4.0", target=target)


def test_an_artifact_store_that_is_away_is_worth_another_try():
    with pytest.raises(TransientError, match="cannot be reached"):
        call("release.build", version="1.4.0", target="http://127.0.0.1:1")


def test_what_was_deployed_is_installed_and_used(target):
    wheel = call("release.build", version="1.4.0", target=target)
    deploy(target, wheel)

    facts = call(
        "release.smoke", version="1.4.0", sha256=wheel["sha256"], env="production", target=target
    )

    assert facts == {
        "version": "1.4.0",
        "week_minutes": 2640,
        "module": "/tidyhours/__init__.py",
    }


def test_a_wheel_that_lacks_a_module_fails_the_smoke_test(target):
    wheel = call("release.build", version="1.5.0", target=target, sabotage=True)
    deploy(target, wheel)

    with pytest.raises(ReleaseError, match=r"No module named 'tidyhours\.summing'"):
        call(
            "release.smoke",
            version="1.5.0",
            sha256=wheel["sha256"],
            env="production",
            target=target,
        )


def test_another_wheel_than_the_approved_one_fails_the_smoke_test(target):
    wheel = call("release.build", version="1.4.0", target=target)
    deploy(target, wheel)

    with pytest.raises(ReleaseError, match="DO NOT MATCH THE HASHES"):
        call("release.smoke", version="1.4.0", sha256="0" * 64, env="production", target=target)


def test_a_version_that_is_not_served_fails_the_smoke_test(target):
    wheel = call("release.build", version="1.4.0", target=target)
    deploy(target, wheel)
    arguments = {"version": "1.4.0", "sha256": wheel["sha256"], "target": target}

    with pytest.raises(ReleaseError, match="pip ended with 1"):
        call("release.smoke", **{**arguments, "version": "9.9.9"}, env="production")
    with pytest.raises(ReleaseError, match="pip ended with 1"):
        call("release.smoke", **arguments, env="staging")
    with pytest.raises(ReleaseError, match="there is no release"):
        call("release.smoke", **arguments, env="../production")
