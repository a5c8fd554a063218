"""What the portal shows of workflows and runs."""
