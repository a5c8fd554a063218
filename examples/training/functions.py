"""What the training workflow calls. Read `evaluate` first.

Datasets and experiments are CSV files in `data/`, made up. Customers are split by a digest of their
name, so that the same customer is always in the same part. Numbers in the record are whole:
permille, or millionths in a text's place.
"""

import csv
import hashlib
import json
import sqlite3
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from countersign import function
from examples.systems import System, SystemRefusedError
from examples.training.learning import (
    fit as fit_weights,
)
from examples.training.learning import (
    log_loss,
    make_scale,
    mcnemar,
    predict,
    two_proportions,
)

_DATA = Path(__file__).parent / "data"
_FEATURES = ("months", "tickets", "visits", "late_payments")
_SHARES = {"train": 60, "validation": 80, "test": 100}  # of a hundred, each up to here
_CERTAIN_MILLIS = 50  # a p of at most 5 in a hundred is no accident
_BASELINE = (-900_000, 0, 500_000, 0, 0)  # the rule in use before any model: who asks a lot leaves
_MICRO = 1_000_000
MODELS = System(
    name="models",
    schema=(
        """CREATE TABLE IF NOT EXISTS models
           (digest TEXT PRIMARY KEY, model TEXT, weights TEXT)""",
        "CREATE TABLE IF NOT EXISTS in_use (model TEXT PRIMARY KEY, digest TEXT)",
    ),
)

Part = tuple[list[list[float]], list[int], list[str]]


@function("training.prepare", idempotent=True)
def prepare(*, dataset: str) -> dict[str, Any]:
    """Read a dataset and split it.

    Returns:
        `{sha256, train, validation, test}`: the file's digest, and how many customers each has.
    """
    parts = _split(dataset)
    digest = hashlib.sha256((_DATA / f"{dataset}.csv").read_bytes()).hexdigest()
    return {"sha256": digest, **{name: len(part[1]) for name, part in parts.items()}}


@function("training.fit", idempotent=True)
def fit(*, dataset: str, penalty_millis: int) -> dict[str, Any]:
    """Fit one candidate on the training part.

    Returns:
        `{weights, penalty_millis, validation_loss}`; weights and loss in millionths.
    """
    parts = _split(dataset)
    rows, labels, _ = parts["train"]
    weights = fit_weights(rows, labels, penalty=penalty_millis / 1_000)
    rows, labels, _ = parts["validation"]
    loss = log_loss(weights, rows, labels)
    return {
        "weights": [round(weight * _MICRO) for weight in weights],
        "penalty_millis": penalty_millis,
        "validation_loss": round(loss * _MICRO),
    }


@function("training.evaluate", idempotent=True)
def evaluate(*, model: str, dataset: str, candidates: list[dict[str, Any]]) -> dict[str, Any]:
    """Choose the candidate with the smallest validation loss; compare it with the model in use.

    Both judge customers neither has seen. McNemar's exact test says whether one is better.

    Returns:
        `{chosen, metrics, baseline, test: {only_candidate, only_in_use, p_millis}, better,
        digest}`.
    """
    best = min(candidates, key=lambda item: (item["validation_loss"], -item["penalty_millis"]))
    part = _split(dataset)["test"]
    ours, theirs = _judge(best["weights"], part), _judge(_read_in_use(model), part)
    only_ours = sum(a and not b for a, b in zip(ours, theirs, strict=True))
    only_theirs = sum(b and not a for a, b in zip(ours, theirs, strict=True))
    p_millis = round(1_000 * mcnemar(only_ours, only_theirs))
    metrics = {**_measure(ours, part), "penalty_millis": best["penalty_millis"]}
    return {
        "chosen": best["weights"],
        "metrics": metrics,
        "baseline": _measure(theirs, part),
        "test": {
            "only_candidate": only_ours,
            "only_in_use": only_theirs,
            "p_millis": p_millis,
            "says": f"only the candidate is right {only_ours} times, only the model in use "
            f"{only_theirs} times; p = {p_millis / 1_000:.3f}",
        },
        "better": only_ours > only_theirs and p_millis <= _CERTAIN_MILLIS,
        "digest": _digest(model, best["weights"]),
    }


@function("training.require_better", idempotent=True)
def require_better(*, better: bool, test: dict[str, Any]) -> dict[str, Any]:
    """Go on only with a candidate that is better, and not by accident.

    Raises:
        SystemRefusedError: when it is not.
    """
    if not better:
        raise SystemRefusedError(f"the candidate is no better: {test['says']}")
    return {"better": True}


@function("training.deploy", idempotent=True)
def deploy(*, model: str, weights: list[int], digest: str) -> dict[str, Any]:
    """Register a model and use it.

    Raises:
        SystemRefusedError: when the weights are not those of the digest that was approved.
    """
    if _digest(model, weights) != digest:
        raise SystemRefusedError("the weights are not those that were approved")

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        before = database.execute("SELECT digest FROM in_use WHERE model = ?", (model,)).fetchone()
        row = (digest, model, json.dumps(weights))
        database.execute("INSERT OR IGNORE INTO models VALUES (?, ?, ?)", row)
        database.execute("INSERT OR REPLACE INTO in_use VALUES (?, ?)", (model, digest))
        return {"previous": before[0] if before else "", "in_use": digest}

    return MODELS.change(apply)


@function("training.restore", idempotent=True)
def restore(*, model: str, digest: str) -> dict[str, Any]:
    """Use the earlier model again; "" is the rule before any model."""

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        if digest:
            database.execute("INSERT OR REPLACE INTO in_use VALUES (?, ?)", (model, digest))
        else:
            database.execute("DELETE FROM in_use WHERE model = ?", (model,))
        return {"in_use": digest}

    return MODELS.change(apply)


@function("training.ab_test", idempotent=True)
def ab_test(*, experiment: str) -> dict[str, Any]:
    """Compare how many customers stayed with either model, over two weeks of visits.

    Returns:
        `{verdict, p_millis, rates}`: `better` or `no difference`.

    Raises:
        SystemRefusedError: when customers are lost by the candidate, and not by accident.
    """
    counts: dict[str, tuple[int, int]] = {}
    for row in _read_csv(experiment):
        kept, visits = counts.get(row["variant"], (0, 0))
        counts[row["variant"]] = (kept + int(row["kept"]), visits + int(row["visits"]))
    p_millis = round(1_000 * two_proportions(counts["candidate"], counts["in-use"]))
    rates = {name: kept * 1_000 // visits for name, (kept, visits) in counts.items()}
    certain = p_millis <= _CERTAIN_MILLIS
    if certain and rates["candidate"] < rates["in-use"]:
        raise SystemRefusedError(
            f"with the candidate {rates['candidate']} of 1,000 visits keep a customer, without it "
            f"{rates['in-use']}: p = {p_millis / 1_000:.3f}"
        )
    return {
        "verdict": "better" if certain else "no difference",
        "p_millis": p_millis,
        "rates": {name.replace("-", "_"): rate for name, rate in rates.items()},
    }


# --- data ----------------------------------------------------------------------------------------


@cache
def _split(dataset: str) -> dict[str, Part]:
    """Return the parts of a dataset, scaled by its training part: rows, labels, segments."""
    raw: dict[str, list[dict[str, str]]] = {name: [] for name in _SHARES}
    for row in _read_csv(dataset):
        place = int(hashlib.sha256(row["customer"].encode()).hexdigest(), 16) % 100
        raw[next(name for name, end in _SHARES.items() if place < end)].append(row)
    features = {
        name: [[float(row[feature]) for feature in _FEATURES] for row in rows]
        for name, rows in raw.items()
    }
    scale = make_scale(features["train"])
    return {
        name: (
            [scale.apply(values) for values in features[name]],
            [int(row["left"]) for row in rows],
            [row["segment"] for row in rows],
        )
        for name, rows in raw.items()
    }


def _judge(weights: Sequence[int], part: Part) -> list[bool]:
    """Return for each customer whether the model was right."""
    rows, labels, _ = part
    plain = [weight / _MICRO for weight in weights]
    return [
        (predict(plain, row) >= 1 / 2) == bool(label)
        for row, label in zip(rows, labels, strict=True)
    ]


def _measure(right: list[bool], part: Part) -> dict[str, Any]:
    """Return how often a model is right, and how much less so in one segment than the other."""
    by_segment = {
        name: [ok for ok, segment in zip(right, part[2], strict=True) if segment == name]
        for name in sorted(set(part[2]))
    }
    rates = {name: sum(oks) * 1_000 // len(oks) for name, oks in by_segment.items()}
    accuracy = sum(right) * 1_000 // len(right)
    words = [f"right about {accuracy / 10} % of {len(right)} customers"]
    words += [f"{rate / 10} % of segment {name}" for name, rate in rates.items()]
    return {
        "says": words,
        "customers": len(right),
        "accuracy_permille": accuracy,
        "by_segment_permille": rates,
        "gap_permille": max(rates.values()) - min(rates.values()),
    }


def _read_in_use(model: str) -> list[int]:
    rows = MODELS.read(
        "SELECT weights FROM models JOIN in_use USING (digest) WHERE in_use.model = ?", (model,)
    )
    return json.loads(rows[0][0]) if rows else list(_BASELINE)


def _digest(model: str, weights: Sequence[int]) -> str:
    return hashlib.sha256(json.dumps([model, list(weights)]).encode()).hexdigest()


def _read_csv(name: str) -> list[dict[str, str]]:
    with (_DATA / f"{Path(name).name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
