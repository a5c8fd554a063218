"""Commands of core, one a module."""
