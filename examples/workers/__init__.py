"""Workers for external tasks, to copy from. They import nothing of Countersign."""
