"""Identifiers."""

from datetime import UTC, datetime

from core.kernel import ids


def test_ids_made_one_after_another_are_in_order():
    made = [ids.uuid7() for _ in range(2_000)]

    assert made == sorted(set(made))


def test_an_id_has_the_form_and_the_instant_of_its_kind():
    made = ids.uuid7()

    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    instant = datetime.fromtimestamp((made.int >> 80) / 1000, tz=UTC)
    assert abs((datetime.now(tz=UTC) - instant).total_seconds()) < 60
