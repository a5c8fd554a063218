"""What the engine tells live viewers."""
