"""What a fix never needs: a look at the machinery that judges it.

Code under test shares its process with the tests, so it could forge their results. To do so it must
reach for something: an import, a name like `getattr`, an attribute with underscores. A file that has
more of these than both the broken and the published version is turned away, unrun.
"""

import ast
from collections import Counter

REACHING = frozenset("""
    exec eval compile globals locals vars getattr setattr delattr open input breakpoint modules settrace
    setprofile gc inspect os sys ctypes importlib builtins atexit signal threading subprocess socket
    attrgetter methodcaller environ io pathlib shutil tempfile pickle marshal codecs pytest _pytest unittest
    f_back f_globals f_locals tb_frame gi_frame cr_frame register execfile runpy pkgutil faulthandler
""".split())


def reaches_for(text, *known):
    """What a source reaches for more often than any of the known ones does, sorted.

    Raises SyntaxError, or ValueError (a null byte), or RecursionError.
    """
    new = _reaches(text)
    allowed = Counter()
    for other in known:
        allowed |= _reaches(other)
    return sorted(new - allowed)


def _reaches(text):
    found = Counter()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found[ast.unparse(node)] += 1
        for word in _words(node):
            if word in REACHING or "__" in word or (word.startswith("_") and isinstance(node, ast.Attribute)):
                found[word[:60]] += 1
    return found


def _words(node):
    """Names in a node of the tree, texts among them: they may be names for `getattr`."""
    for field in ("id", "attr", "name", "arg"):
        word = getattr(node, field, None)
        if isinstance(word, str):
            yield word
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)):
        yield node.value if isinstance(node.value, str) else node.value.decode("latin-1")
