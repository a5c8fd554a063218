"""Named secrets of a project. Read `models`, then `opening`."""
