"""A quarterly access review: controls are tested on evidence, a report is written and signed."""
