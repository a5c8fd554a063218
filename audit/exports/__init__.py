"""Exports of the ledger as jobs: read, written in parts, put together, handed out."""
