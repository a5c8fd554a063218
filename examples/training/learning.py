"""Logistic regression and two statistical tests, in plain Python. Read `fit` first."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, pstdev

_STEPS = 120  # of gradient descent: enough to tell candidates apart, and quick
_RATE = 0.5
_ODDS_MAX = 35.0  # beyond, the exponential is 0 or 1 to the last bit

Vector = Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How features are centered: each minus its mean, by its deviation."""

    means: tuple[float, ...]
    deviations: tuple[float, ...]

    def apply(self, row: Vector) -> list[float]:
        """Return a scaled row, led by a 1 for the intercept."""
        pairs = zip(row, self.means, self.deviations, strict=True)
        return [1.0, *((value - mean) / deviation for value, mean, deviation in pairs)]


def make_scale(rows: Sequence[Vector]) -> Scale:
    """Return the scale of a set of rows."""
    columns = list(zip(*rows, strict=True))
    return Scale(
        means=tuple(fmean(column) for column in columns),
        deviations=tuple(pstdev(column) or 1.0 for column in columns),
    )


def fit(rows: Sequence[Vector], labels: Sequence[int], *, penalty: float) -> list[float]:
    """Return the weights that minimize the loss plus `penalty` times half their square.

    Rows are scaled and led by a 1, which is not penalized. Gradient descent from zero: the same
    data give the same weights.
    """
    weights = [0.0] * len(rows[0])
    for _ in range(_STEPS):
        errors = [predict(weights, row) - label for row, label in zip(rows, labels, strict=True)]
        for index in range(len(weights)):
            slope = fmean(error * row[index] for error, row in zip(errors, rows, strict=True))
            shrink = penalty * weights[index] if index else 0.0
            weights[index] -= _RATE * (slope + shrink)
    return weights


def predict(weights: Vector, row: Vector) -> float:
    """Return the probability that a row's label is 1."""
    odds = sum(weight * value for weight, value in zip(weights, row, strict=True))
    return 1 / (1 + math.exp(-max(-_ODDS_MAX, min(_ODDS_MAX, odds))))


def log_loss(weights: Vector, rows: Sequence[Vector], labels: Sequence[int]) -> float:
    """Return the mean negative logarithm of what the model gave to what happened."""
    chances = [predict(weights, row) for row in rows]
    return fmean(
        -math.log(chance if label else 1 - chance)
        for chance, label in zip(chances, labels, strict=True)
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p of McNemar's test.

    Args:
        only_first: cases the first of two models got right and the second wrong.
        only_second: the other way round.
    """
    count = only_first + only_second
    if count == 0:
        return 1.0
    tail: int = sum(math.comb(count, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / float(2**count))


def two_proportions(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Return the two-sided p of equal rates; each argument is (successes, trials)."""
    pooled = (first[0] + second[0]) / (first[1] + second[1])
    spread = math.sqrt(pooled * (1 - pooled) * (1 / first[1] + 1 / second[1]))
    if spread == 0:
        return 1.0
    score = abs(first[0] / first[1] - second[0] / second[1]) / spread
    return 2 * (1 - NormalDist().cdf(score))
