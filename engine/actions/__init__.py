"""Package engine.actions."""
