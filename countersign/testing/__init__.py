"""Runs of definitions in memory: canned results, virtual time, no server. Read `plays.Play`."""
