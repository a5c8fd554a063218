"""Security incident response: alerts start runs, people acknowledge and choose the remedy."""
