"""`python -m tidyhours "Mo-Fr 09:00-17:00"` prints the week and its sum."""

import sys

from tidyhours import HoursError, format_week, parse_week


def main(arguments: list[str] | None = None) -> int:
    """Print the week that the arguments describe; 2 if they describe none."""
    text = " ".join(sys.argv[1:] if arguments is None else arguments)
    if not text.strip():
        print('usage: tidyhours "Mo-Fr 09:00-17:00; Sa 10:00-14:00"', file=sys.stderr)
        return 2
    try:
        print(format_week(parse_week(text)))
    except HoursError as error:
        print(f"tidyhours: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
