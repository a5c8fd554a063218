"""Erasing payloads: orders, holds, retention, and what is known to be erased."""
