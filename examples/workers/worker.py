"""A worker for external tasks: `COUNTERSIGN_TOKEN=cs_… python worker.py URL PROJECT TOPIC`."""

import os
import socket
import sys
import threading
from typing import Any

import httpx


def work(task: dict[str, Any]) -> object:
    """Do the work and return any JSON. Hand `task["idempotency_key"]` on to what you change."""
    return {"words": len(str(task["data"]).split())}


def keep(api: httpx.Client, task: dict[str, Any], done: threading.Event) -> None:
    """Say that the worker is alive, three times a lease, until the work is done."""
    while not done.wait(task["lease_seconds"] / 3):
        answer = api.post(f"{task['id']}/heartbeat/", json={"token": task["token"]})
        if answer.status_code in {409, 410}:  # nobody waits for it any more
            os._exit(1)


def main(url: str, project: str, topic: str) -> None:
    """Claim a task, do it, tell how it ended; again and again."""
    headers = {"Authorization": f"Bearer {os.environ['COUNTERSIGN_TOKEN']}"}
    wanted = {"project": project, "topics": [topic], "worker": socket.gethostname()}
    with httpx.Client(base_url=f"{url}/api/v1/external-tasks/", headers=headers, timeout=60) as api:
        while True:
            claimed = api.post("claim/", json={**wanted, "wait_seconds": 30}).raise_for_status()
            for task in claimed.json()["tasks"]:
                done = threading.Event()
                threading.Thread(target=keep, args=(api, task, done), daemon=True).start()
                told = {"token": task["token"]}
                try:
                    api.post(f"{task['id']}/complete/", json={**told, "result": work(task)})
                except ValueError as error:  # what `work` raises for a bad task
                    body = {**told, "message": str(error) or "?", "retryable": True}
                    api.post(f"{task['id']}/fail/", json=body)
                done.set()


if __name__ == "__main__":
    main(*sys.argv[1:4])
