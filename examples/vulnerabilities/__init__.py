"""Vulnerability management: a bill of materials against advisories, scored, approved, fixed."""
