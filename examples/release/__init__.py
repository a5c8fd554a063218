"""Release a Python package: test, scan, build, wait for people, deploy, check, roll back."""
