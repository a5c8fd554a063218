"""The Gregorian rule."""

import unittest

from calendars import is_leap


class GregorianRule(unittest.TestCase):
    """Which years have a 29th of February."""

    def test_every_fourth_year_is_one(self) -> None:
        """Ordinary years."""
        assert is_leap(2024)
        assert not is_leap(2025)

    def test_a_century_is_none_unless_it_is_a_fourth_one(self) -> None:
        """Centuries."""
        assert not is_leap(1900)
        assert is_leap(2000)
