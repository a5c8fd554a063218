"""An AI agent whose tool calls need approval: it may ask and wait, and never decides."""
