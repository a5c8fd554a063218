"""What shares a running system stays with one worker, whatever version of xdist runs the tests."""

from types import SimpleNamespace

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from core.settings.env import BASE_DIR
from tests import sharing
from tests.conftest import pytest_xdist_make_scheduler


def test_tests_of_one_system_are_one_unit():
    first = sharing.unit_of("tests/e2e/test_live.py::test_a")
    second = sharing.unit_of("tests/e2e/test_durability.py::test_b[x]")

    assert first == second
    assert sharing.unit_of("tests/e2e/browser/test_a.py::test_a") != first


def test_tests_of_one_module_are_one_unit_but_for_those_that_take_as_long_as_a_module():
    module = "tests/integration/api/test_runs.py"
    assert sharing.unit_of(f"{module}::test_a") == sharing.unit_of(f"{module}::Class::test_b")

    seeds = "tests/simulation/test_engine_seeds.py"
    assert sharing.unit_of(f"{seeds}::test_a[0-24]") != sharing.unit_of(f"{seeds}::test_a[25-49]")


def test_what_is_named_is_there():
    for path in (*sharing._SEVERAL, *sharing._SHARED):
        assert (BASE_DIR / path).exists(), path
    assert sharing._ALONE in (BASE_DIR / "tests/e2e/test_make_run.py").read_text(encoding="utf-8")


def test_the_suites_own_way_to_share_is_used_where_it_is_asked_for():
    option = SimpleNamespace(dist="loadgroup", loadscopereorder=True, tx=["2*popen"], debug=False)
    config = SimpleNamespace(option=option, getvalue=lambda name: getattr(option, name))

    scheduler = pytest_xdist_make_scheduler(config, None)  # type: ignore[arg-type]

    assert isinstance(scheduler, LoadScopeScheduling)
    assert scheduler._split_scope("tests/e2e/browser/test_a.py::test_a") == "browser"
    option.dist = "load"
    assert pytest_xdist_make_scheduler(config, None) is None  # type: ignore[arg-type]
