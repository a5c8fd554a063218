"""Content publishing as a state machine: drafts, checks, review, revision, publication, recall."""
