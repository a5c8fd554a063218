"""The command `countersign`, or `python -m countersign`. Read `main`."""

from countersign.cli.main import countersign


def main() -> None:
    """Enter the command line; the process ends with its exit code."""
    countersign.main(prog_name="countersign")


if __name__ == "__main__":
    main()
