"""Circuit breakers: when a target that fails is left alone. Pure. Read `ask`, then `note`.

closed --(too many failures in the window)--> open --(cool-down over)--> one probe
probe ended well --> closed          probe failed --> open again
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from core.kernel import limits
from core.kernel.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitRule:
    """After `failures` within `window_seconds`, nothing for `cooldown_seconds`, then one probe."""

    failures: int
    window_seconds: float
    cooldown_seconds: float

    @property
    def window(self) -> timedelta:
        """Return how far back failures count."""
        return timedelta(seconds=self.window_seconds)

    @property
    def cooldown(self) -> timedelta:
        """Return how long nothing goes to the target."""
        return timedelta(seconds=self.cooldown_seconds)

    @property
    def count_max(self) -> int:
        """Return how many failures open it."""
        return min(self.failures, limits.CIRCUIT_FAILURE_COUNT_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """A circuit. Closed without `open_until`; `prober` is who probes, until `probe_until`."""

    failed_at: tuple[datetime, ...] = ()
    open_until: datetime | None = None
    prober: str = ""
    probe_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Whether an attempt may begin; if not, when to ask again. A `probe` decides for all."""

    may_begin: bool
    is_probe: bool = False
    at: datetime | None = None


def ask(circuit: Circuit, rule: CircuitRule, *, who: str, now: datetime) -> tuple[Circuit, Answer]:
    """Return whether an attempt may begin now, and the circuit after the answer.

    Idempotent for the prober. A probe nobody hears of for a cool-down has died; another begins.
    """
    if circuit.open_until is None:
        return circuit, Answer(may_begin=True)
    if now < circuit.open_until:
        return circuit, Answer(may_begin=False, at=circuit.open_until)
    is_probed = circuit.probe_until is not None and now < circuit.probe_until
    if is_probed and circuit.prober != who:
        look = now + timedelta(seconds=limits.CIRCUIT_LOOK_SECONDS)
        assert circuit.probe_until is not None, "it is probed"
        return circuit, Answer(may_begin=False, at=min(look, circuit.probe_until))
    probing = replace(circuit, prober=who, probe_until=now + rule.cooldown)
    return probing, Answer(may_begin=True, is_probe=True)


def note(
    circuit: Circuit, rule: CircuitRule, *, who: str, succeeded: bool, now: datetime
) -> Circuit:
    """Return a circuit after an attempt has ended.

    While it is open only the prober has a say: the others began before it opened.
    """
    if circuit.open_until is not None:
        if circuit.prober != who:
            return circuit
        if succeeded:
            return Circuit()
        return replace(circuit, open_until=now + rule.cooldown, prober="", probe_until=None)
    if succeeded:
        return circuit
    recent = [at for at in circuit.failed_at if at > now - rule.window]
    failed_at = (*recent, now)[-rule.count_max :]
    if len(failed_at) < rule.count_max:
        return Circuit(failed_at=failed_at)
    return Circuit(open_until=now + rule.cooldown)


def idle_at(circuit: Circuit, rule: CircuitRule, *, now: datetime) -> datetime:
    """Return from when on a circuit says no more than a fresh one would.

    An open one that nobody probes is as good as closed a window after its cool-down.
    """
    latest = max(circuit.failed_at, default=now)
    ends = [end for end in (circuit.open_until, circuit.probe_until) if end is not None]
    return max([latest, *ends]) + rule.window + rule.cooldown


def circuit_to_json(circuit: Circuit) -> dict[str, Json]:
    """Return the form in which a circuit is stored."""
    return {
        "failed_at": [at.isoformat() for at in circuit.failed_at],
        "open_until": _text(circuit.open_until),
        "prober": circuit.prober,
        "probe_until": _text(circuit.probe_until),
    }


def circuit_from_json(value: Any) -> Circuit:
    """Return a circuit as it was stored."""
    return Circuit(
        failed_at=tuple(datetime.fromisoformat(at) for at in value["failed_at"]),
        open_until=_instant(value["open_until"]),
        prober=value["prober"],
        probe_until=_instant(value["probe_until"]),
    )


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
