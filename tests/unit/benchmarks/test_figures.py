"""The pure parts of the benchmarks: what becomes of samples, traces and process tables."""

import json

import pytest

from benchmarks import results
from benchmarks.cost import read_stat
from benchmarks.results import Row, exponent, percentile, table
from benchmarks.wire import count_requests


def test_a_percentile_is_one_of_the_samples():
    samples = [5.0, 1.0, 4.0, 2.0, 3.0]

    assert percentile(samples, 0.5) == 3.0
    assert percentile(samples, 0.95) == 5.0
    assert percentile([7.0], 0.5) == 7.0


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 1.7, 2.0])
def test_the_exponent_of_a_power_is_the_power(power):
    points = [(size, 0.003 * size**power) for size in (1_000.0, 4_000.0, 10_000.0)]

    assert exponent(points) == pytest.approx(power)


def test_a_noisy_point_moves_the_exponent_only_a_little():
    points = [(1_000.0, 1.0), (4_000.0, 4.2), (10_000.0, 10.0)]

    assert 0.95 < exponent(points) < 1.05


def test_the_table_has_a_line_a_row_and_names_the_peer():
    rows = [
        Row(bench="engine", metric="ten_steps/p50_ms", value=12.345, unit="ms", n=200),
        Row(
            bench="engine",
            metric="ten_steps/p50_ms",
            value=50.0,
            unit="ms",
            n=200,
            peer="DBOS 3.4.0",
            note="alternated",
        ),
    ]

    ours, theirs = table(rows).splitlines()

    assert ours.split() == ["engine.ten_steps/p50_ms", "12.35", "ms", "n=200"]
    assert "[DBOS 3.4.0]" in theirs
    assert theirs.endswith("alternated")
    assert ours.index(" n=200") == theirs.index(" n=200")


def test_a_table_of_nothing_is_empty():
    assert table([]) == ""


def test_writing_keeps_the_rows_of_other_benches(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(results, "LATEST", tmp_path / "latest.json")
    kept = Row(bench="ledger", metric="a", value=1.0, unit="ms", n=1)
    results.write([kept, Row(bench="engine", metric="old", value=1.0, unit="ms", n=1)])

    results.write([Row(bench="engine", metric="new", value=2.0, unit="ms", n=1, peer="DBOS")])

    written = json.loads((tmp_path / "latest.json").read_text(encoding="utf-8"))
    assert [(row["bench"], row["metric"]) for row in written] == [
        ("ledger", "a"),
        ("engine", "new"),
    ]
    assert "peer" not in written[0]
    assert written[1]["peer"] == "DBOS"
    assert "engine.new [DBOS]" in capsys.readouterr().out


def test_requests_are_counted_by_what_the_client_waits_for():
    lines = (
        'F\t27\tParse\t "" "SELECT $1" 1 0',
        "F\t20\tBind\t 'Sync\tin a text' 1 0",
        'F\t9\tExecute\t "" 0',
        "F\t4\tSync",
        "B\t4\tParseComplete",
        "B\t5\tReadyForQuery\t I",
        'F\t11\tQuery\t "BEGIN"',
        'B\t10\tCommandComplete\t "BEGIN"',
    )

    assert count_requests("\n".join(lines)) == 2


def test_a_process_whose_name_has_spaces_and_brackets_is_read():
    numbers = "1 77 77 0 -1 4194304 101 0 0 0 31 12 5 4 20 0 1 0"

    fields = read_stat(f"4242 (a (b) c) S {numbers}\n")

    assert fields[1] == 1
    assert fields[11:15] == [31, 12, 5, 4]
