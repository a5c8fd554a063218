"""With Redis gone nobody waits and nobody fails; when it is back, everything goes on.

The story runs in a process of its own, whose Redis is stopped and started, in a folder whose name
has a space, which each of the three libraries has to be told in its own way.
"""

import json
import os
import subprocess
import sys

import pytest

from core.settings.env import BASE_DIR

_STORY = """
import json, os, sys, tempfile, time
from datetime import timedelta
from pathlib import Path

from core.toolkit.embedded.redis import start_redis

def start():
    return start_redis(folder=folder / "data", socket_folder=folder, log=folder / "log")

folder = Path(sys.argv[1])
server = start()
os.environ["REDIS_URL"] = server.url
import django
django.setup()
from django.core.cache import cache
from core.kernel.clock import FakeClock
from core.toolkit import hint_list, queue, realtime

told = {}
clock = queue.BREAKER.clock = realtime.BREAKER.clock = FakeClock()

def tell(name):
    started = time.perf_counter()
    queue.hint("engine.drive", run_id="1")
    realtime.publish(groups=["run.1"], signal={"run": "1"})
    told[name + "_seconds"] = time.perf_counter() - started
    realtime.drain(seconds=20)
    told[name] = [queue.BREAKER.failure_count, realtime.BREAKER.failure_count]

tell("up")
cache.set("a", 1)
told["cache"] = cache.get("a")
server.stop()
tell("down")
tell("still_down")
told["skipped"] = [queue.BREAKER.skip_count, realtime.BREAKER.skip_count]
server = start()
clock.advance(timedelta(seconds=5))
tell("up_again")
told["waiting"] = hint_list.count("engine.drive")
server.stop()
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = subprocess.check_output(["mktemp", "-d", "/tmp/a b XXXXXX"], text=True).strip()
    done = subprocess.run(
        [sys.executable, "-c", _STORY, folder],
        cwd=BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "core.settings.test"},
        capture_output=True,
        text=True,
        check=False,
    )
    subprocess.run(["rm", "-r", folder], check=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_all_three_libraries_find_a_socket_below_a_folder_with_a_space(told):
    assert told["up"] == [0, 0]
    assert told["cache"] == 1


def test_a_failure_is_counted_once_and_then_nobody_asks(told):
    assert told["down"] == [1, 1]
    assert told["still_down"] == [1, 1]
    assert told["skipped"] == [1, 1]


def test_nobody_waits_for_a_redis_that_is_gone(told):
    assert told["down_seconds"] < 1.0
    assert told["still_down_seconds"] < 0.05


def test_after_the_pause_hints_and_signals_go_out_again(told):
    assert told["up_again"] == [1, 1]
    assert told["waiting"] == 1
