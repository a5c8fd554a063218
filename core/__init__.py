"""Core: settings and wiring, the kernel, the toolkit and identity. Names nothing above it."""
