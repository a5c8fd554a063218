"""ETL with data-quality exceptions: a day's file is checked, people decide about what is bad."""
