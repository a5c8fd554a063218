"""The kernel: clock, ids, errors, canonical bytes, limits, records. Pure, no framework."""
