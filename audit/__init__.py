"""Package audit."""
