"""Shares."""

import unittest

from calendars import split_evenly


class Shares(unittest.TestCase):
    """An amount that is shared out."""

    def test_an_even_amount_is_shared_evenly(self) -> None:
        """What divides."""
        assert split_evenly(300, 3) == [100, 100, 100]

    def test_no_cent_is_lost_and_none_is_made(self) -> None:
        """What does not."""
        for cents in range(200):
            for people in range(1, 9):
                shares = split_evenly(cents, people)
                assert sum(shares) == cents
                assert max(shares) - min(shares) <= 1
