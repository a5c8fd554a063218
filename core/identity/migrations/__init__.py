"""Migrations of the identity tables."""
