"""Identity over HTTP: people, teams, projects, roles, tokens."""
