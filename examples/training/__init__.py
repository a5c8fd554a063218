"""Model training and deployment: fit, compare with the model in use, approve, A/B, roll back."""
