"""Fills a demo system with a history: every story of every use case, played over its public API.

    python -m examples.demo.history                        # all of them
    python -m examples.demo.history orders/no-carrier      # one, or all of a use case: orders
    python -m examples.demo.history --again orders         # as new runs

`make run` does this once in the background. What was played before is found by its keys and nothing
happens twice, so an interrupted history is simply played again. Read `fill` first.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from countersign import ApiError, Client
from examples.cases import list_stories
from examples.demo import cast
from examples.demo.cast import CAST, MACHINES
from examples.playing import Player, StoryError
from examples.stories import Story, UseCase

_READY_SECONDS = 600.0  # a first start also makes a database
_TOKEN_SECONDS = 3_600
_ADMIN = "admin"
_READER = "mara"
_NOTE = "history.json"

Stories = Sequence[tuple[UseCase, Story]]


def main() -> int:
    """Play what the arguments name; return 0 if every story ended as it should."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a text stream
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="use cases, or use case/story; by default all")
    parser.add_argument("--again", action="store_true", help="as new runs, whatever there is")
    arguments = parser.parse_args()
    port = os.environ.get("PORT", "8000")
    url = os.environ.get("COUNTERSIGN_URL", f"http://127.0.0.1:{port}").rstrip("/")
    stories = choose(arguments.names)
    if not stories:
        print(f"There is no use case or story {' '.join(arguments.names)}", file=sys.stderr)
        return 1
    try:
        _wait_until_ready(url)
        if arguments.names or arguments.again:
            fill(url, stories=stories, salt=f"{time.time_ns():x}" if arguments.again else "")
        else:
            fill_once(url, folder=Path(os.environ.get("VAR", "var")))
    except (StoryError, ApiError, httpx.TransportError) as error:
        print(f"The history is not complete: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def choose(names: Sequence[str]) -> Stories:
    """Return the stories that are named, by use case or one by one; all of them without names."""
    return [
        (case, story)
        for case, story in list_stories()
        if not names or {case.slug, f"{case.slug}/{story.slug}"} & set(names)
    ]


def fill_once(url: str, *, folder: Path) -> None:
    """Play every story, unless a note in a folder says that the system there has them all.

    Without the note nothing would happen twice either; it saves asking for every run at each start.
    Raises: as `fill`.
    """
    note = folder / _NOTE
    names = [f"{case.slug}/{story.slug}" for case, story in list_stories()]
    if _is_noted(note, url=url, names=names):
        print(f"history: {len(names)} runs are there")
        return
    last = fill(url, stories=choose([]))
    note.write_text(json.dumps({"stories": names, "run": last}), encoding="utf-8")


def _is_noted(note: Path, *, url: str, names: list[str]) -> bool:
    """Say whether a note is about these stories, and about the system that answers here."""
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(known, dict) or known.get("stories") != names:
        return False
    with Client(url, "", trust_env=False) as door:
        token = door.create_token(_READER, cast.PASSWORD, name="history", lifetime_seconds=60)
    with Client(url, token["token"], trust_env=False) as reader:
        try:
            return bool(reader.get_run(str(known.get("run")))["id"])
        except ApiError:
            return False
        finally:
            reader.revoke_token(token["id"])


def fill(url: str, *, stories: Stories, salt: str = "") -> str:
    """Play stories against a system: first every start, so that workers have work, then the rest.

    Returns the id of the last story's run.

    Args:
        url: where the system answers.
        stories: what to play.
        salt: makes other keys, and so other runs, of the same stories; "" is the history itself.

    Raises:
        StoryError: when the system does something else than a story says.
        ApiError: when something is refused that should not be.
    """
    began = time.monotonic()
    with signed_in(url) as clients:
        player = Player(
            project=cast.PROJECT_SLUG, client_of=clients.__getitem__, reader=_READER, salt=salt
        )
        begun = [(case, story, player.begin(case, story)) for case, story in stories]
        print(f"history: {len(begun)} runs are under way")
        last = ""
        for case, story, run_id in begun:
            if last and last != case.slug:
                print(f"history: {last} is played")
            last = case.slug
            player.go_on(case, story, run_id)
    print(f"history: complete, {len(begun)} runs in {time.monotonic() - began:.0f} s")
    return begun[-1][2]


@contextmanager
def signed_in(url: str) -> Iterator[dict[str, Client]]:
    """Yield a client for each account of the demo; their tokens end with the block.

    People sign in with their password. Machines have none: the administrator makes their tokens.
    """
    with ExitStack() as stack, Client(url, "", trust_env=False) as door:
        clients: dict[str, Client] = {}

        def enter(name: str, token: dict[str, Any]) -> None:
            clients[name] = stack.enter_context(Client(url, token["token"], trust_env=False))
            stack.callback(clients[name].revoke_token, token["id"])

        for member in CAST:
            enter(
                member.username,
                door.create_token(
                    member.username,
                    cast.PASSWORD,
                    name="history",
                    lifetime_seconds=_TOKEN_SECONDS,
                ),
            )
        ids = {user["username"]: user["id"] for user in clients[_ADMIN].list_users()}
        for machine in MACHINES:
            enter(
                machine.username,
                clients[_ADMIN].create_machine_token(
                    ids[machine.username], name="history", lifetime_seconds=_TOKEN_SECONDS
                ),
            )
        yield clients


def _wait_until_ready(url: str) -> None:
    ends = time.monotonic() + _READY_SECONDS
    while time.monotonic() < ends:
        try:
            if httpx.get(f"{url}/readyz", timeout=2.0, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise StoryError(f"nothing answers at {url}")


if __name__ == "__main__":
    sys.exit(main())
