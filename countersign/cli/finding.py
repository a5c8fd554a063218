"""Finding what somebody names: a run, a request, a workflow. Read `find_run_id` first."""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml

from countersign.cli.doorway import Session
from countersign.cli.errors import CommandError, Exit
from countersign.cli.files import read_text
from countersign.cli.output import one_line
from countersign.client import ApiError, JsonObject

_NUMBER = re.compile(r"#?(\d{1,12})")
_LOOKED_AT_MAX = 1_000  # newest runs or requests looked through for a number
_MISSING = 404
_NUMERIC = frozenset({"integer", "number"})


def find_run_id(session: Session, text: str) -> str:
    """Return the id of a run named by its id or by its number, such as 12 or #12.

    Raises:
        CommandError: it is neither, or no such run is among the newest.
    """
    if _is_uuid(text):
        return text
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise CommandError(f"{text!r} is neither the id of a run nor its number")
    for run in islice(session.client.list_runs(), _LOOKED_AT_MAX):
        if run["number"] == int(found[1]):
            return str(run["id"])
    message = f"no run {text} among the newest {_LOOKED_AT_MAX} you may see; name it by its id"
    raise CommandError(message, code="cli.not_found", exit_code=Exit.REFUSED)


def find_request(session: Session, text: str) -> JsonObject:
    """Return the request named by its id or number, or the one a run waits for.

    Raises:
        CommandError: nothing is open there, or several requests are.
    """
    if _is_uuid(text):
        try:
            return session.client.get_request(text)
        except ApiError as error:
            if error.status != _MISSING:
                raise
        return _find_of_run(session, text)
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise CommandError(f"{text!r} is the id of no request and of no run, nor a number")
    for request in islice(session.client.list_requests(view="all"), _LOOKED_AT_MAX):
        if request["number"] == int(found[1]):
            return session.client.get_request(request["id"])
    message = (
        f"no request {text} among the newest {_LOOKED_AT_MAX} you may see; "
        "a run is named by its id here, since requests have numbers of their own"
    )
    raise CommandError(message, code="cli.not_found", exit_code=Exit.REFUSED)


def list_open_requests(session: Session, run_id: str) -> list[JsonObject]:
    """Return what a run waits for people with."""
    return list(session.client.list_requests(view="all", run_id=run_id, status="open"))


def split_workflow(session: Session, text: str) -> tuple[str, str]:
    """Return project and slug of a workflow named as `slug` or `project/slug`."""
    project, slash, slug = text.partition("/")
    return (project, slug) if slash else (session.project, text)


def read_values(
    pairs: Sequence[str], file: str | None, *, schema: Mapping[str, Any], what: str
) -> JsonObject:
    """Return values given as `key=value` and as a file of JSON or YAML; pairs come last.

    A value is read as the type the schema names: text where it says text, JSON otherwise.
    `key:=value` is always JSON.

    Raises:
        CommandError: a pair or the file cannot be read.
    """
    values: JsonObject = _read_file(file, what=what) if file else {}
    properties = schema.get("properties", {})
    for pair in pairs:
        key, equals, text = pair.partition("=")
        is_json = key.endswith(":")
        key = key.removesuffix(":")
        if not equals or not key:
            raise CommandError(f"{pair!r}: write {what} as key=value, or key:=JSON")
        known = properties.get(key, {})
        values[key] = _read_value(key, text, schema=known, is_json=is_json)
    return values


def _read_value(key: str, text: str, *, schema: Any, is_json: bool) -> Any:
    types = schema.get("type") if isinstance(schema, Mapping) else None
    names = {types} if isinstance(types, str) else set(types or ())
    if not is_json and (names == {"string"} or _takes_only_texts(schema)):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        if is_json:
            raise CommandError(f"{key}: {text!r} is not JSON") from error
        if names and not names & {"string", "null"} and names <= _NUMERIC | {"boolean"}:
            raise CommandError(f"{key}: {text!r} is no {' or '.join(sorted(names))}") from error
        return text


def _takes_only_texts(schema: Any) -> bool:
    choices = schema.get("enum") if isinstance(schema, Mapping) else None
    return bool(choices) and all(isinstance(choice, str) for choice in choices or ())


def _read_file(name: str, *, what: str) -> JsonObject:
    try:
        value = yaml.safe_load(read_text(Path(name)))
    except yaml.YAMLError as error:
        message = f"{name} is neither JSON nor YAML: {one_line(error)}"
        raise CommandError(message, code="cli.file") from error
    if not isinstance(value, dict):
        raise CommandError(f"{name}: {what} are a map", code="cli.file")
    return value


def _find_of_run(session: Session, run_id: str) -> JsonObject:
    run = session.client.get_run(run_id)
    found = list_open_requests(session, run_id)
    if len(found) == 1:
        return session.client.get_request(found[0]["id"])
    if not found:
        message = f"run {run['number']} waits for nobody's decision that you may see"
        raise CommandError(message, code="cli.not_found", exit_code=Exit.REFUSED)
    listed = ", ".join(f"{item['id']} ({one_line(item['title'])})" for item in found)
    raise CommandError(f"run {run['number']} waits for several decisions; name one: {listed}")


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
