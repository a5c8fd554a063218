"""Package engine.triggers."""
