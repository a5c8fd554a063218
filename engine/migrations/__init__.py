"""Migrations of engine."""
