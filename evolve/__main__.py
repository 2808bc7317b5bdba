"""The way in: `evolve`, or `python -m evolve`.

It imports nothing before it can answer Ctrl-C: no traceback comes from the middle of an import.
"""

import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it with exit code 130 at any moment."""
    try:
        from evolve.cli.main import main as command_line

        command_line()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
