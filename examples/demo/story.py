"""The main job, played by its people through the public REST API. Read `tell` first."""

from typing import Any

from examples.demo import cast
from examples.demo.players import JsonObject, Play, new_key, players, step_of
from examples.demo.telling import Teller, expect, expect_equal

_OTHER_DIGEST = "0" * 64
_FORM = {"ticket": "CHG-1042"}


def tell(teller: Teller, *, url: str) -> None:
    """Play the whole story against the system at an address.

    Raises:
        SurpriseError: at the first thing that is not as it should be.
        ApiError: when something is refused that should not be.
    """
    with players(teller, url=url) as play:
        newest = next(play.as_("mara").list_runs(limit=1), {"number": 0})
        version = f"1.{newest['number'] % 10_000}"  # another one each time the story is told
        released = _release(play, version=f"{version}.0")
        _reject(play, version=f"{version}.1")
        _roll_back(play, version=f"{version}.2", served=f"{version}.0")
        _read_ledger(play, run=released)


def _release(play: Play, *, version: str) -> JsonObject:
    """Play a release to production: two stages of people, then deployed and checked."""
    play.teller.chapter(f"Mara releases tidyhours {version} to production")
    _start_wrongly(play)
    run_id = _start_twice(play, {"version": version, "env": "production"})
    request = play.wait_for_request(run_id)
    _show(play, request["id"])
    _decide_as_nobody_may(play, request["id"])
    _decide_carelessly(play, request["id"])
    _approve(play, "ada", request["id"])
    _decide_again(play, request["id"])
    _approve(play, "owen", request["id"])
    run = play.wait_for_end(run_id)
    expect_equal(run["outcome"], "succeeded", "the outcome")
    outputs = run["outputs"]
    expect_equal(outputs["deployed"]["version"], version, "the version that is served")
    expect_equal(outputs["deployed"]["sha256"], outputs["sha256"], "the wheel that is served")
    expect_equal(outputs["smoke"]["version"], version, "the version that pip installed")
    play.detail(
        f"production serves {version}; pip installed the very wheel that was approved, and it works"
    )
    return run


def _reject(play: Play, *, version: str) -> None:
    """Play a release that a person rejects: an outcome, not an error."""
    play.teller.chapter(f"Mara asks for {version} in staging, and Noor says no")
    run_id = _start(play, {"version": version, "env": "staging"})
    request_id = play.wait_for_request(run_id)["id"]
    seen = _see(play, "noor", request_id)
    asked = [stage["key"] for stage in seen["stages"] if stage["status"] != "skipped"]
    expect_equal(asked, ["peer"], "the stages asked for staging")
    play.as_("noor").decide(
        request_id,
        "reject",
        digest=seen["digest"],
        stage=seen["stage"],
        comment="Not before the holidays.",
    )
    play.say("noor", "rejects: Not before the holidays.")
    run = play.wait_for_end(run_id)
    expect_equal(run["outcome"], "rejected", "the outcome")
    expect_equal(step_of(run, "deploy")["outcome"], "unreached", "the outcome of deploy")
    play.detail("deploy was never reached: nothing changed in staging")
    with play.refused("ada", "approves what is closed", status=409):
        _decide(play, "ada", request_id, seen)


def _roll_back(play: Play, *, version: str, served: str) -> None:
    """Play a release whose wheel lacks a module: approved, deployed, found out, undone."""
    play.teller.chapter(f"Mara releases {version}, and a module is missing from its wheel")
    run_id = _start(play, {"version": version, "env": "production", "sabotage": True})
    request_id = play.wait_for_request(run_id)["id"]
    _approve(play, "noor", request_id)
    _approve(play, "owen", request_id)
    run = play.wait_for_end(run_id)
    expect_equal(run["outcome"], "failed", "the outcome")
    expect_equal(step_of(run, "deploy")["outcome"], "succeeded", "the outcome of deploy")
    smoke, undo = step_of(run, "smoke"), step_of(run, "deploy", undoes=True)
    expect_equal(smoke["outcome"], "failed", "the outcome of smoke")
    expect("tidyhours.summing" in smoke["error"]["message"], "smoke failed for another reason")
    expect_equal(undo["outcome"], "succeeded", "the outcome of the rollback")
    current = undo["outputs"]["result"]["json"]["current"]
    expect_equal(current["version"], served, "the version served after the rollback")
    play.detail(f"smoke: {smoke['error']['message']}")
    play.detail(f"rolled back: production serves {current['version']} again")


def _read_ledger(play: Play, *, run: JsonObject) -> None:
    """Let the auditor read what was recorded of the first release."""
    play.teller.chapter("Aud reads what is on record of the first release")
    requests = list(play.as_("mara").list_requests(view="all", run_id=run["id"]))
    aud = play.as_("aud")
    for name, stream in (("run", run["id"]), ("request", requests[0]["id"])):
        entries = list(aud.list_entries(stream=stream, limit=200))[::-1]
        expect_equal([entry["seq"] for entry in entries], list(range(1, len(entries) + 1)), "order")
        kinds = [entry["kind"] for entry in entries]
        play.say("aud", f"{name}: {len(entries)} entries")
        for entry in entries:
            play.detail(f"{entry['seq']:>3}  {entry['kind']:<24}{entry['leaf'][:12]}…")
        wanted = _EXPECTED_KINDS[name]
        expect(set(wanted) <= set(kinds), f"{set(wanted) - set(kinds)} is not on record")
    found = list(play.as_("ada").list_entries(stream=run["id"]))
    expect_equal(found, [], "what ada sees of the ledger")
    play.say("ada", "sees nothing of the ledger: she has no role for it")


_EXPECTED_KINDS = {
    "run": ("run.started", "step.completed", "approval.requested", "approval.resolved"),
    "request": (
        "request.opened",
        "decision.refused",
        "vote.cast",
        "decision.repeated",
        "request.closed",
    ),
}


# --- starting ------------------------------------------------------------------------------------


def _start(play: Play, inputs: JsonObject, *, key: str = "") -> str:
    started = play.as_("mara").start_run(
        cast.PROJECT_SLUG, cast.WORKFLOW_SLUG, inputs=inputs, idempotency_key=key or new_key()
    )
    verb = "starts it again with the same key: the same run" if started["replayed"] else "starts it"
    play.say("mara", f"{verb}, R-{started['number']}")
    return str(started["id"])


def _start_wrongly(play: Play) -> None:
    wrong = {"version": "one", "env": "moon"}
    with play.refused("mara", "starts it with two mistakes", status=422) as refusal:
        play.as_("mara").start_run(cast.PROJECT_SLUG, cast.WORKFLOW_SLUG, inputs=wrong)
    problems = refusal.answer.problems
    expect_equal(len(problems), len(wrong), "the number of problems")
    for problem in problems:
        play.detail(f"{problem['path']}: {problem['message']}")
    with play.refused("ada", "starts it without the role", status=403):
        play.as_("ada").start_run(
            cast.PROJECT_SLUG, cast.WORKFLOW_SLUG, inputs={"version": "1.0.0", "env": "staging"}
        )


def _start_twice(play: Play, inputs: JsonObject) -> str:
    key = new_key()
    first, second = _start(play, inputs, key=key), _start(play, inputs, key=key)
    expect_equal(second, first, "the run of the second start")
    with play.refused("mara", "starts another release with that key", status=422):
        _start(play, {**inputs, "env": "staging"}, key=key)
    return first


# --- deciding ------------------------------------------------------------------------------------


def _see(play: Play, who: str, request_id: str) -> JsonObject:
    return play.as_(who).get_request(request_id)


def _show(play: Play, request_id: str) -> None:
    """Tell what people are asked, from the inbox of somebody who may decide."""
    inbox = [item["id"] for item in play.as_("ada").list_requests(view="mine")]
    expect(request_id in inbox, "the request is not in ada's inbox")
    board = [item["id"] for item in play.as_("owen").list_requests(view="mine")]
    expect(request_id not in board, "the request is in owen's inbox before its stage")
    seen = _see(play, "ada", request_id)
    play.say("ada", f"sees in her inbox: A-{seen['number']} {seen['title']}, risk {seen['risk']}")
    for line in seen["rule_words"]:
        play.detail(line)
    play.detail(f"if approved: {seen['if_approved']}")


def _decide(play: Play, who: str, request_id: str, seen: JsonObject, **other: Any) -> JsonObject:
    """Approve what was seen, with the box ticked and the form filled in, but for `other`."""
    values: dict[str, Any] = {
        "decision": "approve",
        "digest": seen["digest"],
        "stage": seen["stage"] or "",
        "form": _FORM,
        "confirmed": True,
        **other,
    }
    return play.as_(who).decide(request_id, **values)


def _decide_as_nobody_may(play: Play, request_id: str) -> None:
    """Let those try who may not: the requester, and the board before its turn."""
    seen = _see(play, "mara", request_id)
    with play.refused("mara", "approves her own release", status=403):
        _decide(play, "mara", request_id, seen)
    inbox = [item["id"] for item in play.as_("mara").list_requests(view="mine")]
    expect(request_id not in inbox, "her own request is in mara's inbox")
    why = play.as_("mara").explain_request(request_id)
    expect(not why["is_eligible"], "mara may decide her own release")
    play.detail(f"although she is an engineer and an approver. Why: {why['reason']}")
    with play.refused("owen", "approves before the board is asked", status=403):
        _decide(play, "owen", request_id, seen)


def _decide_carelessly(play: Play, request_id: str) -> None:
    """Let ada send what does not hold; the request stays open each time."""
    seen = _see(play, "ada", request_id)
    with play.refused("ada", "approves something else than she was shown", status=412):
        _decide(play, "ada", request_id, seen, digest=_OTHER_DIGEST)
    with play.refused("ada", "leaves out the change ticket", status=422):
        _decide(play, "ada", request_id, seen, form={})
    with play.refused("ada", "does not tick the box", status=422):
        _decide(play, "ada", request_id, seen, confirmed=False)


def _approve(play: Play, who: str, request_id: str) -> None:
    """Approve as one who is asked now."""
    seen = _see(play, who, request_id)
    form = _FORM if seen["form_values"] is None else None
    result = _decide(play, who, request_id, seen, form=form)
    expect(not result["replayed"], "a first decision is answered as a repetition")
    play.say(who, f"approves in the stage {seen['stage']}")


def _decide_again(play: Play, request_id: str) -> None:
    """Let ada send her decision again, and change her mind too late."""
    seen = _see(play, "ada", request_id)
    expect_equal(seen["stage"], "board", "the stage that is open now")
    again = _decide(play, "ada", request_id, seen, stage="")
    expect(again["replayed"], "the same decision was counted again")
    play.say("ada", "sends the same decision again: counted once")
    with play.refused("ada", "approves for the board too", status=403):
        _decide(play, "ada", request_id, seen, form=None)
