"""The inbox and the decision, as pages."""
