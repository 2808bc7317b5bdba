"""Start a command in its control groups and without root; the engine runs this script.

    python -I -S enter.py USER_ID|- CGROUP_FILES COMMAND...

A process must join before it makes children, and as root before it drops root, so the
engine can't do it from outside. This file imports the standard library only.
"""

import os
import sys


def main() -> None:
    """Join the control groups, drop root and execute the command."""
    user, files, *command = sys.argv[1:]
    for path in filter(None, files.split(":")):
        with open(path, "w") as file:
            file.write("0")
    if user != "-":
        number = int(user)
        os.setgroups([])
        os.setresgid(number, number, number)
        os.setresuid(number, number, number)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
