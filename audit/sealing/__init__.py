"""Sealing: entries get their places in the tree, and the tree is signed."""
