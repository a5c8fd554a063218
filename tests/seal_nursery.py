"""Sealer processes that are killed and replaced, for `tests/integration/audit/test_seal_storm.py`.

Started as `python -m tests.seal_nursery SECONDS SEED`. It prints `ready` when it begins, and one
JSON object at the end: how many sealers were killed. It sets up Django once and forks, so that a
new sealer works within milliseconds, and many can be killed in a short time.
"""

import json
import os
import random
import signal
import sys
import threading
import time

import django

COUNT = 3  # sealers at any moment
PAUSES = (0.05, 0.1, 0.3, 0.6)  # between two kills, seconds


def main(seconds: float, seed: int) -> None:
    django.setup()
    print("ready", flush=True)
    chance = random.Random(seed)
    alive = {_fork() for _ in range(COUNT)}
    ends = time.monotonic() + seconds
    killed = 0
    while time.monotonic() < ends:
        time.sleep(chance.choice(PAUSES))
        victim = chance.choice(sorted(alive))
        os.kill(victim, signal.SIGKILL)
        _, status = os.waitpid(victim, 0)
        assert os.WIFSIGNALED(status), f"a sealer ended by itself: {status}"
        alive.remove(victim)
        alive.add(_fork())
        killed += 1
    for pid in alive:
        os.kill(pid, signal.SIGTERM)
    ended = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in alive]
    print(json.dumps({"killed": killed, "ended": ended}))


def _fork() -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        _seal()
    except BaseException:  # noqa: BLE001 - the child's edge: it must not go on as its parent
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def _seal() -> None:
    from audit import conf  # noqa: PLC0415 - after Django's set-up
    from audit.sealing.keys import KeyFolder  # noqa: PLC0415 - after Django's set-up
    from audit.sealing.running import Sealer  # noqa: PLC0415 - after Django's set-up
    from core.kernel.clock import SYSTEM_CLOCK  # noqa: PLC0415 - after Django's set-up

    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    sealer = Sealer(
        folder=KeyFolder(conf.ledger_keys_dir()), origin=conf.ledger_origin(), clock=SYSTEM_CLOCK
    )
    sealer.run(stopping=stopping, seconds=0.01)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
