"""What changed in an approval block, and whether it weakens the gate. Read `compare_blocks`."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from engine.domain.comparing import Change, ChangeClass

_WORDS: Final = ("title", "kind", "if_approved", "if_rejected")
_WAYS: Final = ("users", "groups", "permissions")


def compare_blocks(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """Yield the changes between two blocks as `check_block` made them. Their `step` is empty."""
    for name in _WORDS:
        if before[name] != after[name]:
            yield _change(ChangeClass.COSMETIC, name, before[name], after[name])
    for name in ("risk", "amount"):
        if before[name] != after[name]:
            yield _change(ChangeClass.BEHAVIOURAL, name, before[name], after[name])
    yield from _compare_confirm(before["confirm"], after["confirm"])
    yield from _compare_subject(before["subject"], after["subject"])
    yield from _compare_form(before["form"], after["form"])
    yield from _compare_expiry(before["expires"], after["expires"])
    yield from _compare_exclusions(before["exclude"], after["exclude"])
    yield from _compare_stages(before["stages"], after["stages"])
    known = {
        *_WORDS,
        "risk",
        "amount",
        "confirm",
        "subject",
        "form",
        "expires",
        "exclude",
        "stages",
    }
    for name in sorted({*before, *after} - known):  # a key this comparison does not know yet
        if before.get(name) != after.get(name):
            yield _change(ChangeClass.WEAKENING, name, before.get(name), after.get(name))


def _compare_confirm(before: Any, after: Any) -> Iterator[Change]:
    if before == after:
        return
    kind = ChangeClass.COSMETIC if before and after else ChangeClass.BEHAVIOURAL
    if before and not after:
        yield _change(ChangeClass.WEAKENING, "confirm", before, after, "nothing is to be ticked")
    else:
        yield _change(kind, "confirm", before, after)


def _compare_subject(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        field = f"subject.{name}"
        if new is None:
            yield _change(ChangeClass.WEAKENING, field, old, new, "approvers no longer see it")
        else:
            kind = ChangeClass.ADDITIVE if old is None else ChangeClass.BEHAVIOURAL
            yield _change(kind, field, old, new)


def _compare_form(before: Any, after: Any) -> Iterator[Change]:
    if before == after:
        return
    if before is None:
        yield _change(ChangeClass.BEHAVIOURAL, "form", before, after)
        return
    lost = set(before.get("required", ())) - set((after or {}).get("required", ()))
    if after is None or lost:
        said = f"no longer asks for {', '.join(sorted(lost))}" if lost else "asks for nothing"
        yield _change(ChangeClass.WEAKENING, "form", before, after, said)
    else:
        yield _change(ChangeClass.BEHAVIOURAL, "form", before, after)


def _compare_expiry(before: Any, after: Any) -> Iterator[Change]:
    if before == after:
        return
    if after is None:
        yield _change(ChangeClass.WEAKENING, "expires", before, after, "never expires")
        return
    if before is None:
        yield _change(ChangeClass.BEHAVIOURAL, "expires", before, after)
        return
    if before["after_seconds"] != after["after_seconds"]:
        longer = (after["after_seconds"] or 0) > (before["after_seconds"] or 0)
        kind = ChangeClass.WEAKENING if longer else ChangeClass.BEHAVIOURAL
        said = "expires later" if longer else "expires sooner"
        old, new = before["after_seconds"], after["after_seconds"]
        yield _change(kind, "expires.after", old, new, said)
    if before["then"] != after["then"]:
        # None of what is implemented approves; whatever else there will be may.
        kind = ChangeClass.BEHAVIOURAL
        if after["then"] not in {"reject", "expire", "fail"}:
            kind = ChangeClass.WEAKENING
        yield _change(kind, "expires.then", before["then"], after["then"])


def _compare_exclusions(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for part in ("keywords", "expressions"):
        old, new = before[part], after[part]
        lost = [item for item in old if item not in new]
        added = [item for item in new if item not in old]
        if lost:
            said = f"no longer excluded: {', '.join(lost)}"
            yield _change(ChangeClass.WEAKENING, "exclude", old, new, said)
        elif added:
            said = f"excluded too: {', '.join(added)}"
            yield _change(ChangeClass.BEHAVIOURAL, "exclude", old, new, said)


def _compare_stages(
    before: list[Mapping[str, Any]], after: list[Mapping[str, Any]]
) -> Iterator[Change]:
    old, new = {item["id"]: item for item in before}, {item["id"]: item for item in after}
    for key, stage in new.items():
        if key in old:
            yield from _compare_stage(key, old[key], stage)
        else:
            yield _change(ChangeClass.BEHAVIOURAL, f"stages.{key}", None, dict(stage))
    for key, stage in old.items():
        if key not in new:
            said = "the stage was removed"
            yield _change(ChangeClass.WEAKENING, f"stages.{key}", dict(stage), None, said)
    kept = [key for key in old if key in new]
    if kept != [key for key in new if key in old]:
        yield _change(ChangeClass.BEHAVIOURAL, "stages", list(old), list(new), "another order")


def _compare_stage(
    key: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[Change]:
    field = f"stages.{key}"
    if before["when"] != after["when"]:
        # A stage that is always asked is never weaker than one that is asked at times.
        kind = ChangeClass.BEHAVIOURAL if after["when"] is None else ChangeClass.WEAKENING
        yield _change(kind, f"{field}.when", before["when"], after["when"])
    for way in _WAYS:
        old, new = before["approvers"][way], after["approvers"][way]
        wider = [item for item in new if item not in old]
        fewer = [item for item in old if item not in new]
        if wider:
            said = f"may decide too: {', '.join(wider)}"
            yield _change(ChangeClass.WEAKENING, f"{field}.approvers.{way}", old, new, said)
        elif fewer:
            said = f"may decide no longer: {', '.join(fewer)}"
            yield _change(ChangeClass.BEHAVIOURAL, f"{field}.approvers.{way}", old, new, said)
    yield from _compare_quorum(field, before["quorum"], after["quorum"])


def _compare_quorum(
    field: str, before: Mapping[str, int], after: Mapping[str, int]
) -> Iterator[Change]:
    if before["count"] != after["count"]:
        lower = after["count"] < before["count"]
        kind = ChangeClass.WEAKENING if lower else ChangeClass.BEHAVIOURAL
        said = "fewer approvals are enough" if lower else "more approvals are needed"
        yield _change(kind, f"{field}.quorum.count", before["count"], after["count"], said)
    if before["reject"] != after["reject"]:
        higher = after["reject"] > before["reject"]
        kind = ChangeClass.WEAKENING if higher else ChangeClass.BEHAVIOURAL
        said = "more rejections are needed" if higher else "fewer rejections are enough"
        yield _change(kind, f"{field}.quorum.reject", before["reject"], after["reject"], said)


def _change(kind: ChangeClass, field: str, before: Any, after: Any, message: str = "") -> Change:
    if not message:
        message = "added" if before is None else "removed" if after is None else "changed"
    return Change(kind=kind, step="", field=field, message=message, before=before, after=after)
