"""Reads of identity and access."""
