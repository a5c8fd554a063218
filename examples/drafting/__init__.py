"""A model drafts an answer, and a person accepts, edits, sends back or rejects it."""
