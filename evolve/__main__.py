"""Entry point: `evolve`, or `python -m evolve`.

Imports happen inside `main`, so that Ctrl-C during an import does not print a traceback.
"""

import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it with exit code 130, even during an import."""
    try:
        from evolve.cli.main import main as command_line

        command_line()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
