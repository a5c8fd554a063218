"""The demo: who is in it, and the story `make demo` plays."""
