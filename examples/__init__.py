"""Examples that run: each folder has a README, a workflow and what the workflow needs."""
