"""The approval block of a definition: what an author may write. Read `check_block` first.

What it returns is normalized: every default filled in, every key in one spelling. It becomes part
of the version's plan and so of its digest. Keys of `flow/v1` that this version does not implement
are refused by name; unknown keys are refused with a suggestion. Nothing is ignored.
"""

import re
from collections.abc import Mapping

from approvals.domain.block_people import read_exclude, read_stages
from approvals.domain.form import check_schema
from approvals.domain.reading import BlockReader
from approvals.domain.rule import AfterExpiry
from core.kernel import limits
from core.kernel.types import Json, parse_duration
from engine.domain.verbs import Checked, CheckScope

KINDS = ("deploy", "payment", "access", "agent", "data", "limit", "content", "other")
RISKS = ("low", "medium", "high")
KEYS = (
    "title",
    "kind",
    "risk",
    "amount",
    "subject",
    "if-approved",
    "if-rejected",
    "confirm",
    "outcomes",
    "mode",
    "stages",
    "exclude",
    "form",
    "expires",
)
KEYS_LATER = (
    "edit",
    "hold",
    "step-up",
    "link-only",
    "delegation",
    "vote-change",
    "on-voter-loss",
    "max-rounds",
    "on-change",
    "remind",
    "escalate",
    "auto",
    "break-glass",
)
OUTCOMES = ("approve", "reject")
OUTCOMES_LATER = ("request-changes",)
IF_REJECTED_DEFAULT = "The run stops here; what comes after this step does not happen."
IF_APPROVED_DEFAULT = "The run goes on."

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_CURRENCY = re.compile(r"[A-Z]{3}")  # Source: ISO 4217


def check_block(block: Json, *, scope: CheckScope) -> Checked:
    """Return an approval block normalized, or everything that is wrong with it.

    Problems carry JSON pointers from the root of the definition, and codes `approvals.block.*`.
    A problem of severity `warning` does not stand in the way of publishing.
    """
    reader = BlockReader(evaluator=scope.evaluator, path=scope.path)
    value = reader.mapping(block, known=KEYS, later=KEYS_LATER)
    if value is None:
        return Checked(problems=tuple(reader.problems))
    names = (*scope.names, "subject")
    body: dict[str, Json] = {
        **_read_texts(reader, value, scope=scope, names=names),
        "kind": _read_choice(reader, value, "kind", KINDS, "other"),
        "risk": _read_risk(reader, value, names=names),
        "amount": _read_amount(reader, value, names=names),
        "subject": _read_subject(reader, value, scope=scope),
        "form": _read_form(reader, value),
        "expires": _read_expires(reader, value),
    }
    _read_outcomes(reader, value)
    if "mode" in value:
        with reader.at("mode"):
            reader.choice(value["mode"], choices=("sequence",), later=("parallel",))
    body["stages"] = read_stages(reader, value, names=names)
    body["exclude"] = read_exclude(reader, value, names=(*names, "user"))
    return Checked(body=body, problems=tuple(reader.problems))


def _read_texts(
    reader: BlockReader, value: Mapping[str, Json], *, scope: CheckScope, names: tuple[str, ...]
) -> dict[str, Json]:
    """Read the lines an approver is shown, all of them templates."""
    defaults: dict[str, str | None] = {
        "title": scope.step.replace("_", " ").capitalize(),
        "if-approved": " ".join(scope.effects) or IF_APPROVED_DEFAULT,
        "if-rejected": IF_REJECTED_DEFAULT,
        "confirm": None,
    }
    texts: dict[str, Json] = {}
    for key, default in defaults.items():
        texts[key.replace("-", "_")] = default
        if key in value:
            with reader.at(key):
                text = reader.template(value[key], names=names, what="one line of text")
            texts[key.replace("-", "_")] = text
    return texts


def _read_choice(
    reader: BlockReader,
    value: Mapping[str, Json],
    key: str,
    choices: tuple[str, ...],
    default: str,
) -> str | None:
    if key not in value:
        return default
    with reader.at(key):
        return reader.choice(value[key], choices=choices)


def _read_risk(reader: BlockReader, value: Mapping[str, Json], *, names: tuple[str, ...]) -> Json:
    """Return `{"level": …}` or `{"expression": …}`: a word that is no level is CEL."""
    risk = value.get("risk", "medium")
    if isinstance(risk, str) and risk in RISKS:
        return {"level": risk}
    with reader.at("risk"):
        return {"expression": reader.expression(risk, names=names)}


def _read_amount(reader: BlockReader, value: Mapping[str, Json], *, names: tuple[str, ...]) -> Json:
    if "amount" not in value:
        return None
    with reader.at("amount"):
        amount = reader.mapping(value["amount"], known=("value", "currency"))
        if amount is None:
            return None
        number = amount.get("value")
        with reader.at("value"):
            # A plain number is an expression too, in minor units of the currency.
            text = str(number) if isinstance(number, int) else number
            expression = reader.expression(text, names=names)
        currency = amount.get("currency")
        if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
            with reader.at("currency"):
                reader.note("wrong_value", "write a currency here, as three capitals: EUR")
    return {"value": expression, "currency": currency}


def _read_subject(reader: BlockReader, value: Mapping[str, Json], *, scope: CheckScope) -> Json:
    """Read what is shown and signed, by default the run's inputs; it cannot name itself."""
    if "subject" not in value:
        return {"inputs": "inputs"}
    with reader.at("subject"):
        subject = value["subject"]
        if not isinstance(subject, dict) or not subject:
            reader.note("wrong_type", "write a mapping of names to CEL expressions here")
            return None
        expressions: dict[str, Json] = {}
        for name, expression in subject.items():
            with reader.at(name):
                if not _FIELD.fullmatch(name):
                    reader.note("wrong_value", "a name has letters, digits, `_` and `-`")
                expressions[name] = reader.expression(expression, names=scope.names)
    return expressions


def _read_outcomes(reader: BlockReader, value: Mapping[str, Json]) -> None:
    if "outcomes" not in value:
        return
    with reader.at("outcomes"):
        outcomes = reader.sequence(value["outcomes"], count_max=3, what="outcomes") or []
        for index, outcome in enumerate(outcomes):
            with reader.at(index):
                reader.choice(outcome, choices=OUTCOMES, later=OUTCOMES_LATER)
        known = [outcome for outcome in outcomes if outcome in OUTCOMES]
        if outcomes and sorted(map(str, known)) != list(OUTCOMES):
            reader.note("wrong_value", "an approval has both outcomes, approve and reject, once")


def _read_form(reader: BlockReader, value: Mapping[str, Json]) -> Json:
    form = value.get("form")
    if "form" in value:
        with reader.at("form"):
            reader.problems += check_schema(form, path=reader.path)
    return form


def _read_expires(reader: BlockReader, value: Mapping[str, Json]) -> Json:
    with reader.at("expires"):
        if "expires" not in value:
            reader.note(
                "no_expiry", "this approval waits for ever; say `expires:`", severity="warning"
            )
            return None
        expires = reader.mapping(
            value["expires"], known=("after", "then"), later=("at", "calendar")
        )
        if expires is None:
            return None
        with reader.at("then"):
            then = reader.choice(
                expires.get("then", AfterExpiry.REJECT.value),
                choices=[choice.value for choice in AfterExpiry],
                later=("escalate", "approve"),
            )
        with reader.at("after"):
            seconds = _read_duration(reader, expires.get("after"))
    return {"after_seconds": seconds, "then": then}


def _read_duration(reader: BlockReader, value: Json) -> int | None:
    duration = parse_duration(value) if isinstance(value, str) else None
    if duration is None:
        reader.note("wrong_value", "write an ISO 8601 duration here, such as PT72H")
        return None
    seconds = int(duration.total_seconds())
    if not 1 <= seconds <= limits.APPROVAL_EXPIRY_MAX.total_seconds():
        days = limits.APPROVAL_EXPIRY_MAX.days
        reader.note("wrong_value", f"an approval expires after 1 second to {days} days")
        return None
    return seconds
