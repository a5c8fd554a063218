"""Real PostgreSQL and Redis, started in a data folder when no address of one is given."""
