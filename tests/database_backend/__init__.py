"""PostgreSQL for tests: Django's own backend with a flush that our triggers let through."""
