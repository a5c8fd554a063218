"""The control-flow patterns as definitions that run; docs/reference/patterns.md lists them."""
