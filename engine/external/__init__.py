"""Attempts that programs outside claim over the API. Read `claiming`, then `ending`."""
