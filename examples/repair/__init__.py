"""Bounded code repair: candidates against a failing test, at most so many, merged by a person."""
