"""The command line: `countersign`, or `python -m countersign`. Read `main` first."""
