"""What changes definitions and runs, one verb a function."""
