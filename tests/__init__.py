"""The tests, by kind. `embedded_servers` is the plugin that gives them PostgreSQL and Redis."""
