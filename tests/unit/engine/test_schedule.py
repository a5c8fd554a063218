"""A schedule: a map that knows what is due first, whatever was done to it."""

import random
from datetime import UTC, datetime, timedelta

from engine.domain.schedule import Schedule

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def test_an_empty_schedule_is_never_due():
    empty = Schedule()

    assert not empty
    assert empty.find_first() is None
    assert list(empty.iter_due(at(0))) == []


def test_what_is_due_comes_soonest_first_and_of_equal_ones_by_name():
    schedule = Schedule().set("c", at(2)).set("b", at(1)).set("a", at(2)).set("d", at(3))

    assert list(schedule.iter_due(at(2))) == ["b", "a", "c"]
    assert schedule.find_first() == at(1)
    assert schedule.find_first(besides=frozenset("b")) == at(2)


def test_a_name_is_due_once_and_a_value_does_not_change():
    before = Schedule().set("a", at(1))
    after = before.set("a", at(5))

    assert (dict(before), dict(after)) == ({"a": at(1)}, {"a": at(5)})
    assert list(after.iter_due(at(4))) == []
    assert (len(after.delete("a")), len(after)) == (0, 1)
    assert before.set("b", at(2)).delete("b") == before != after
    assert len({before, Schedule().set("a", at(1))}) == 1
    assert "2026" in repr(before)


def test_it_does_what_a_map_and_a_sort_do():
    dice = random.Random(7)
    schedule, known = Schedule(), dict[str, datetime]()
    for _ in range(2_000):
        name, now = f"n{dice.randint(0, 40)}", at(dice.randint(0, 60))
        if name in known and dice.random() < 0.5:
            schedule = schedule.delete(name)
            del known[name]
        else:
            schedule = schedule.set(name, now)
            known[name] = now
        assert dict(schedule) == known
        assert schedule.find_first() == min(known.values(), default=None)
        due = sorted((due, name) for name, due in known.items() if due <= now)
        assert list(schedule.iter_due(now)) == [name for _, name in due]
