"""Keeping tree heads where nobody of this database can write."""
