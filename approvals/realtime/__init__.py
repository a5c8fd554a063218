"""What approvals tell live viewers."""
