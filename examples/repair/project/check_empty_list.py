"""Means."""

import unittest

from calendars import average


class Average(unittest.TestCase):
    """The mean of some numbers."""

    def test_the_mean_of_some_numbers(self) -> None:
        """Three numbers."""
        assert average([1, 2, 6]) == 9 / len([1, 2, 6])

    def test_the_mean_of_nothing_is_nothing(self) -> None:
        """No numbers."""
        assert average([]) == 0
