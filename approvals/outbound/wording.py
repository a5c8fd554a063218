"""What each notice says, and the facts of a request as lines. Pure. Read `word` first."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from approvals.services.outbox import NoticeEvent
from core.kernel.types import Json

FACT_COUNT_MAX: Final = 8  # a mail is glanced at; the page has all of them
FACT_CHARS_MAX: Final = 160  # two lines of a phone
TITLE_CHARS_SHOWN_MAX: Final = 90  # of the subject: what mail programs show before they cut

# Direction overrides and isolates could show a sentence in another order than it was written.
_DROPPED: Final = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]+")
_BLANKS: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")

# How many decimals a currency's minor units are. Source: ISO 4217; every other one has two.
_DECIMALS: Final = {
    **dict.fromkeys(["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW"], 0),
    **dict.fromkeys(["PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"], 0),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
}
_OUTCOME_MARKS: Final = {"approved": "approved", "rejected": "rejected", "expired": "expired"}
_ANSWERS: Final = {
    "retry": ("To be retried", "approved", "It executes again."),
    "skip": ("Skipped", "cancelled", "It counts as skipped, and the run goes on without it."),
    "fail": ("Failed", "failed", "It fails for good."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a notice tells of, each text on one line; "" where there is nothing to say.

    `is_question`: of a request, whether it asks about a step that failed. `state` and `since` are
    those of a run that is in one state for too long.
    """

    number: str
    title: str
    requester: str
    outcome: str
    closed_at: str
    closed_by: str
    reason: str
    is_question: bool = False
    state: str = ""
    since: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """The words of a mail.

    `mark` is the status whose colors its chip has, `chip` the word in it; `lead` is the first
    sentence; `button` names what opens the page.
    """

    subject: str
    mark: str
    chip: str
    heading: str
    lead: str
    button: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A label and its value."""

    label: str
    text: str


def word(event: NoticeEvent, told: Told) -> Wording:
    """Return the words for an event."""
    return _WORDINGS[event](told)


def make_line(text: str) -> str:
    """Return a text on one line: what people typed must not look like lines of ours."""
    return _BLANKS.sub(" ", _DROPPED.sub("", text)).strip()


def shorten(text: str, *, chars_max: int) -> str:
    """Return a text of at most so many characters, with "…" where something was cut off."""
    return text if len(text) <= chars_max else text[: chars_max - 1].rstrip() + "…"


def list_facts(subject: Mapping[str, Json]) -> tuple[tuple[Line, ...], int]:
    """Return the first facts of what is to be decided, and how many more the page has.

    Plain values only, also those one level down; lists and deeper parts are read on the page.
    """
    lines = list(_walk(subject))
    shown = [line for line in lines if line is not None][:FACT_COUNT_MAX]
    return tuple(shown), len(lines) - len(shown)


def format_amount(value: int | None, currency: str) -> str:
    """Write an amount of minor units, such as `1,250.00 EUR`; "" without one."""
    if value is None:
        return ""
    decimals = _DECIMALS.get(currency, 2)
    sign, digits = "-" if value < 0 else "", str(abs(value)).zfill(decimals + 1)
    whole = f"{int(digits[: len(digits) - decimals]):,}"
    number = f"{whole}.{digits[-decimals:]}" if decimals else whole
    return f"{sign}{number} {currency}"


def _ask_first(told: Told) -> Wording:
    if told.is_question:
        lead = f"A run that {told.requester} started waits for somebody to say what becomes of "
        return _ask(told, f"{lead}this step, and you are among those who may.")
    lead = f"{told.requester} asks for a decision, and you are among those who may give it."
    return _ask(told, lead)


def _ask_next(told: Told) -> Wording:
    return _ask(told, "An earlier stage has approved this. Now it is asked of you.")


def _ask(told: Told, lead: str) -> Wording:
    return Wording(
        subject=_subject(told, "Please decide", told.title),
        mark="waiting",
        chip="Waiting for you",
        heading=told.title,
        lead=lead,
        button="Review and decide",
    )


def _tell(told: Told, words: str, *, mark: str, chip: str, lead: str) -> Wording:
    return Wording(
        subject=_subject(told, words, told.title),
        mark=mark,
        chip=chip,
        heading=told.title,
        lead=lead,
        button="Open the request",
    )


def _tell_expired(told: Told) -> Wording:
    at = f" at {told.closed_at}" if told.closed_at else ""
    lead = f"Nobody decided in time, so this ended as {told.outcome}{at}."
    return _tell(told, "Time is up", mark="expired", chip="Time is up", lead=lead)


def _tell_voided(told: Told) -> Wording:
    because = f": {told.reason}" if told.reason else ""
    lead = f"This was taken back before it was decided{because}. There is nothing to do."
    return _tell(told, "No longer asked", mark="cancelled", chip="Taken back", lead=lead)


def _tell_decided(told: Told) -> Wording:
    if told.is_question:
        return _tell_answered(told)
    by = f" by {told.closed_by}" if told.closed_by else ""
    at = f" at {told.closed_at}" if told.closed_at else ""
    return _tell(
        told,
        told.outcome.capitalize(),
        mark=_OUTCOME_MARKS.get(told.outcome, "cancelled"),
        chip=told.outcome.capitalize(),
        lead=f"What you asked for was {told.outcome}{by}{at}.",
    )


def _tell_answered(told: Told) -> Wording:
    words, mark, follows = _ANSWERS[told.outcome]
    by = f"{told.closed_by} decided" if told.closed_by else "It was decided"
    at = f" at {told.closed_at}" if told.closed_at else ""
    lead = f"{by}{at} what becomes of this step of a run you started. {follows}"
    return _tell(told, words, mark=mark, chip=words, lead=lead)


def _tell_stuck(told: Told) -> Wording:
    since = f"since {told.since}" if told.since else "for too long"
    return Wording(
        subject=_subject(told, f"Still in {told.state}", told.title),
        mark="waiting",
        chip="For too long",
        heading=told.title,
        lead=f"This run has been in the state {told.state} {since}. "
        "Its workflow says that you are told.",
        button="Open the run",
    )


def _tell_blocked(told: Told) -> Wording:
    # Whoever gets this may not be allowed to see the request, so its title is not here.
    return Wording(
        subject=_subject(told, "Stuck", "too few people may decide"),
        mark="failed",
        chip="Stuck",
        heading="Too few people may decide",
        lead="A request waits for a decision that too few people may give. It never passes by "
        "itself: somebody has to be given the role, or put into the team, that its rule names.",
        button="Open the request",
    )


_WORDINGS: Final[Mapping[NoticeEvent, Callable[[Told], Wording]]] = {
    NoticeEvent.REQUEST_OPENED: _ask_first,
    NoticeEvent.STAGE_OPENED: _ask_next,
    NoticeEvent.REQUEST_DECIDED: _tell_decided,
    NoticeEvent.REQUEST_EXPIRED: _tell_expired,
    NoticeEvent.REQUEST_BLOCKED: _tell_blocked,
    NoticeEvent.REQUEST_VOIDED: _tell_voided,
    NoticeEvent.RUN_STUCK: _tell_stuck,
}


def _subject(told: Told, words: str, rest: str) -> str:
    return f"[{told.number}] {words}: {shorten(rest, chars_max=TITLE_CHARS_SHOWN_MAX)}"


def _walk(subject: Mapping[str, Json]) -> Iterator[Line | None]:
    """Return one item for each fact, `None` for one that does not fit a line."""
    for key, value in subject.items():
        if isinstance(value, dict):
            for name, item in value.items():
                yield _make_fact(f"{_say_key(key)} · {_say_key(name)}", item)
        else:
            yield _make_fact(_say_key(key), value)


def _make_fact(label: str, value: Json) -> Line | None:
    text = _say_value(value)
    if text is None:
        return None
    return Line(
        label=shorten(label, chars_max=FACT_CHARS_MAX // 2),
        text=shorten(text, chars_max=FACT_CHARS_MAX),
    )


def _say_key(key: str) -> str:
    words = make_line(key.replace("_", " ").replace("-", " "))
    return words[:1].upper() + words[1:]


def _say_value(value: Json) -> str | None:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if value is None or value in ("", [], {}):
        return "—"
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
    if isinstance(value, list) and all(isinstance(item, str | int) for item in value):
        return make_line(", ".join(str(item) for item in value))
    return make_line(value) if isinstance(value, str) else None
