"""What anchors and sinks share: who is where, cursors, configuration, the guarded client."""
