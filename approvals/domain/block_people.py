"""The parts of an approval block that say who decides. Read `read_stages` first."""

import re
from collections.abc import Mapping

from approvals.domain.exclusion import USER_FIELDS
from approvals.domain.reading import BlockReader
from approvals.domain.rule import KEYWORDS_DEFAULT, Keyword
from core.identity.domain.permissions import Permission
from core.kernel import limits
from core.kernel.types import Json

_STAGE_ID = re.compile(r"[a-z][a-z0-9_]{0,63}")
_WORD = re.compile(r"[a-z]+(-[a-z]+)*")
_USER_FIELD = re.compile(r"\buser\s*\.\s*(\w+)")
_CEL_TEXT = re.compile(r"""\"(?:[^"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'""")
_LISTS = {"users": "user names", "groups": "names of groups"}
_WAYS = (*_LISTS, "permission", "any-of")
# Stored rules may hold it; authors may not write it before there is something it excludes.
_EDITORS_LATER = (
    "'editors' is not available in this version: nobody can edit a request yet, so it would "
    "exclude nobody; it comes with `edit:`"
)


def read_stages(reader: BlockReader, value: Mapping[str, Json], *, names: tuple[str, ...]) -> Json:
    """Return the stages of a block in their order, normalized."""
    with reader.at("stages"):
        if "stages" not in value:
            reader.note("missing_key", "say who decides: `stages:` is a list of stages")
            return None
        stages = reader.sequence(value["stages"], count_max=limits.STAGE_COUNT_MAX, what="stages")
        if stages is None:
            return None
        read: list[Json] = []
        seen: set[str] = set()
        for index, stage in enumerate(stages):
            with reader.at(index):
                read.append(_read_stage(reader, stage, names=names, seen=seen))
        if all(isinstance(stage, dict) and stage["when"] is not None for stage in read):
            reader.note(
                "all_conditional",
                "every stage has a `when`; if none holds, nobody is asked and the run waits",
                severity="warning",
            )
    return read


def read_exclude(reader: BlockReader, value: Mapping[str, Json], *, names: tuple[str, ...]) -> Json:
    """Return whom the block excludes: what it names beside the defaults; `[]` removes those."""
    keywords: set[str] = set(KEYWORDS_DEFAULT)
    expressions: list[Json] = []
    if "exclude" in value:
        with reader.at("exclude"):
            items = value["exclude"]
            if items == []:
                keywords = set()
            else:
                items = reader.sequence(
                    items, count_max=limits.EXCLUSION_COUNT_MAX, what="exclusions"
                )
            for index, item in enumerate(items or []):
                with reader.at(index):
                    _read_exclusion(reader, item, names, keywords, expressions)
    ordered: list[Json] = [keyword.value for keyword in Keyword if keyword in keywords]
    return {"keywords": ordered, "expressions": expressions}


def _read_exclusion(
    reader: BlockReader,
    item: Json,
    names: tuple[str, ...],
    keywords: set[str],
    expressions: list[Json],
) -> None:
    known = [keyword.value for keyword in Keyword if keyword is not Keyword.EDITORS]
    if item == Keyword.EDITORS.value:
        reader.note("not_available", _EDITORS_LATER)
    elif item in known:
        keywords.add(str(item))
    elif isinstance(item, str) and _WORD.fullmatch(item):
        # A lone word can only be a misspelt keyword: it is no condition on `user`.
        reader.choice(item, choices=known)
    else:
        expression = reader.expression(item, names=names)
        for field in _fields_of_user(expression or ""):
            # The compiler cannot know: a misspelt one would err for everybody, and exclude all.
            reader.choice(field, choices=USER_FIELDS)
        expressions.append(expression)


def _fields_of_user(expression: str) -> list[str]:
    """Return the fields of `user` an expression names, outside its texts."""
    return _USER_FIELD.findall(_CEL_TEXT.sub("''", expression))


def _read_stage(
    reader: BlockReader, value: Json, *, names: tuple[str, ...], seen: set[str]
) -> Json:
    stage = reader.mapping(value, known=("id", "when", "approvers", "quorum"), later=("fields",))
    if stage is None:
        return None
    key = stage.get("id")
    with reader.at("id"):
        if not isinstance(key, str) or not _STAGE_ID.fullmatch(key):
            reader.note("wrong_value", "a stage needs an id: a letter, then letters, digits, `_`")
        elif key in seen:
            reader.note("duplicate", f"there is a stage {key!r} already")
        else:
            seen.add(key)
    when: Json = None
    if "when" in stage:
        with reader.at("when"):
            when = reader.expression(stage["when"], names=names)
    quorum = _read_quorum(reader, stage)
    with reader.at("approvers"):
        approvers: dict[str, list[Json]] = {"users": [], "groups": [], "permissions": []}
        _read_approvers(reader, stage.get("approvers"), approvers)
    _check_reach(reader, quorum, approvers)
    return {"id": key, "when": when, "approvers": dict(approvers), "quorum": dict(quorum)}


def _read_quorum(reader: BlockReader, stage: Mapping[str, Json]) -> dict[str, Json]:
    quorum: dict[str, Json] = {"count": 1, "reject": 1}
    if "quorum" in stage:
        with reader.at("quorum"):
            given = reader.mapping(
                stage["quorum"], known=tuple(quorum), later=("percent", "all", "first", "of-each")
            )
            for key, number in (given or {}).items():
                with reader.at(key):
                    quorum[key] = reader.integer(
                        number, bounds=(1, limits.QUORUM_COUNT_MAX), what="a number of people"
                    )
    return quorum


def _read_approvers(reader: BlockReader, value: Json, found: dict[str, list[Json]]) -> None:
    """Add whom a mapping of approvers names to what was found so far."""
    approvers = reader.mapping(value, known=_WAYS, later=("expr", "all-of"))
    if approvers is None:
        return
    if len(approvers) != 1:
        reader.note(
            "wrong_value",
            "name approvers in exactly one way (users, groups or permission); several ways go "
            "into `any-of`: [{groups: […]}, {users: […]}]",
        )
    for key, name in _LISTS.items():
        if key in approvers:
            with reader.at(key):
                _read_names(reader, approvers[key], found[key], what=name)
    if "permission" in approvers:
        with reader.at("permission"):
            permission = reader.choice(
                approvers["permission"], choices=[item.value for item in Permission]
            )
            _add(found["permissions"], permission)
    if "any-of" in approvers:
        with reader.at("any-of"):
            ways = reader.sequence(approvers["any-of"], count_max=20, what="ways") or []
            for index, way in enumerate(ways):
                with reader.at(index):
                    _read_approvers(reader, way, found)


def _read_names(reader: BlockReader, value: Json, found: list[Json], *, what: str) -> None:
    names = reader.sequence(value, count_max=limits.APPROVER_NAME_COUNT_MAX, what=what) or []
    for index, name in enumerate(names):
        with reader.at(index):
            _add(found, reader.text(name, what="a name"))


def _add(found: list[Json], name: Json) -> None:
    if name not in found:
        found.append(name)


def _check_reach(
    reader: BlockReader, quorum: Mapping[str, Json], approvers: Mapping[str, list[Json]]
) -> None:
    """Refuse a count that the people named one by one can never reach."""
    count, users = quorum["count"], approvers["users"]
    only_users = bool(users) and not approvers["groups"] and not approvers["permissions"]
    if only_users and isinstance(count, int) and count > len(users):
        with reader.at("quorum", "count"):
            reader.note("unsatisfiable", f"{count} people are needed and {len(users)} are named")
