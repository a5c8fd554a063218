"""Plain values for the templates of runs and workflows."""
