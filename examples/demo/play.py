"""`make demo`: plays the main job through the public REST API, and fails at any surprise."""

import sys

from countersign import ApiError
from examples.demo.history import choose, fill
from examples.demo.story import tell
from examples.demo.system import NoSystemError, System, find_or_start
from examples.demo.telling import SurpriseError, Teller, fail
from examples.playing import StoryError


def main() -> int:
    """Play the story; return 0 if everything was as it should be."""
    # A pipe's reader sees each line when it is told.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a text stream
    print("Looking for a running system, or starting one …")
    try:
        with find_or_start() as system:
            print(f"Playing against {system.url}{_origin(system)}")
            teller = Teller()
            tell(teller, url=system.url)
            if system.is_own:
                teller.chapter("The other use cases are played")
                fill(system.url, stories=choose([]))
            _verify(teller, system)
            print(f"\nEverything was as it should be, in {teller.seconds:.1f} s.")
    except (SurpriseError, StoryError, NoSystemError) as error:
        print(f"\nSURPRISE: {error}", file=sys.stderr)
        return 1
    except ApiError as error:
        print(f"\nSURPRISE: the API refused what it should not: {error}", file=sys.stderr)
        for problem in error.problems:
            print(f"  {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    return 0


def _origin(system: System) -> str:
    return f" (started for this, data in {system.variables['VAR']})" if system.is_own else ""


def _verify(teller: Teller, system: System) -> None:
    """Recompute every hash of the ledger, as an operator would. Raises: SurpriseError."""
    teller.chapter("The whole ledger is verified")
    ended = system.manage("verify_ledger")
    if ended.returncode != 0:
        fail(f"verify_ledger ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    for line in ended.stdout.splitlines():
        teller.say("ledger", line)


if __name__ == "__main__":
    sys.exit(main())
