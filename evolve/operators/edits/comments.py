"""Comments at the ends of lines."""

import posixpath

_SLASHES = (
    *("c", "h", "cc", "cpp", "hpp", "cxx", "cu", "cuh", "java", "js", "ts", "go", "rs"),
    *("swift", "kt", "scala", "cs", "php", "zig", "dart"),
)
_HASHES = ("py", "pyx", "r", "R", "rb", "jl", "sh", "toml", "yaml", "yml", "pl")


def comment_sign(path: str) -> str:
    """Return how a comment begins in a file.

    Args:
        path: the file

    Returns:
        The sign; empty for languages that are not known.
    """
    ending = posixpath.splitext(path)[1].removeprefix(".")
    return "#" if ending in _HASHES else "//" if ending in _SLASHES else ""


def without_comment(line: str, sign: str) -> str:
    """Remove the comment of one line.

    Args:
        line: of a program
        sign: how a comment begins; empty: there are none

    Returns:
        The line without a comment at its end, and without blanks there.
    """
    if not sign or sign not in line:
        return line.rstrip()
    quote, escaped = "", False
    for at, char in enumerate(line):
        if quote:
            quote = "" if char == quote and not escaped else quote
            escaped = char == "\\" and not escaped
        elif char in "\"'":
            quote, escaped = char, False
        elif line.startswith(sign, at) and (at == 0 or line[at - 1].isspace()):
            return line[:at].rstrip()
    return line.rstrip()
