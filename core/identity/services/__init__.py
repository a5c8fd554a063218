"""Writes of identity and access: each is one transaction, permitted and on record."""
