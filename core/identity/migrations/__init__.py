"""Migrations of core.identity."""
