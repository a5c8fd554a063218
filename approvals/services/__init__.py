"""Opening, deciding, expiring and voiding requests."""
