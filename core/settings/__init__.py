"""Settings. `env` is the only reader of the environment; each profile is one small module."""
