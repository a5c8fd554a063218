"""Signing in and out, and how pages look, in the portal."""
