"""What reads definitions and runs, guarded."""
