"""Commands of no other app."""
