"""The engine: definitions, versions, runs, actions. Approvals plug in as a verb."""
