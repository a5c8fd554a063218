"""What every page of the portal builds on: its frame, its errors, its forms, its words."""
