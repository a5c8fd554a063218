"""The websocket at `/ws/`: signals with ids to those who may know, while they may know."""
