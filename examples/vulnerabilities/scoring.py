"""CVSS 3.1 base scores, and whether a version is in an advisory's range. Read `base_score`."""

import math
import re

_METRICS = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "UI": {"N": 0.85, "R": 0.62},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
    "I": {"H": 0.56, "L": 0.22, "N": 0.0},
    "A": {"H": 0.56, "L": 0.22, "N": 0.0},
}
# What privileges cost depends on whether the scope changes.
_PRIVILEGES = {
    "U": {"N": 0.85, "L": 0.62, "H": 0.27},
    "C": {"N": 0.85, "L": 0.68, "H": 0.5},
}
_VECTOR = re.compile(r"CVSS:3\.1(?:/[A-Z]{1,2}:[A-Z])+")


def base_score(vector: str) -> int:
    """Return the base score of a vector in tenths, 0 to 100.

    Source: CVSS 3.1 specification, sections 7.1 and appendix A.

    Raises:
        ValueError: for a text that is no complete base vector.
    """
    if not _VECTOR.fullmatch(vector):
        raise ValueError(f"{vector!r} is no CVSS 3.1 vector")
    parts = dict(part.split(":") for part in vector.split("/")[1:])
    try:
        weights = {name: values[parts[name]] for name, values in _METRICS.items()}
        scope = parts["S"]
        privileges = _PRIVILEGES[scope][parts["PR"]]
    except KeyError as error:
        raise ValueError(f"{vector!r} says nothing valid about {error}") from error
    subscore = 1 - (1 - weights["C"]) * (1 - weights["I"]) * (1 - weights["A"])
    if scope == "U":
        impact = 6.42 * subscore
    else:
        impact = 7.52 * (subscore - 0.029) - 3.25 * (subscore - 0.02) ** 15
    if impact <= 0:
        return 0
    exploitability = 8.22 * weights["AV"] * weights["AC"] * privileges * weights["UI"]
    whole = impact + exploitability
    return _round_up(min(whole if scope == "U" else 1.08 * whole, 10.0))


def is_affected(version: str, *, introduced: str, fixed: str | None) -> bool:
    """Say whether a version is at or after `introduced` and before `fixed`; "0" is any."""
    known = version_key(version)
    return version_key(introduced) <= known and (fixed is None or known < version_key(fixed))


def _round_up(score: float) -> int:
    """Round up to a tenth, as the specification does: free of binary fractions' noise."""
    scaled = round(score * 100_000)
    return scaled // 10_000 if scaled % 10_000 == 0 else math.floor(scaled / 10_000) + 1


def version_key(version: str) -> tuple[int, ...]:
    """Return what orders versions: their numbers, without zeros at the end."""
    found = [int(part) for part in re.findall(r"\d+", version)]
    while found and found[-1] == 0:
        found.pop()  # 1.0 and 1.0.0 are the same version
    return tuple(found)
