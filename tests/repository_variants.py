"""Variants of the functions of `tests.repositories.LEDGER`: wrong ones, and honest ones.

Each is a function with the name of the original, and what it does otherwise.
"""

from __future__ import annotations

_SUMMARIZE = """def summarize(entries, by="account", limit=None):
    rows = {}
    for entry in entries:
        name = getattr(entry, by)
        count, total = rows.get(name, (0, 0.0))
        rows[name] = count + 1, total + entry.amount
    found = [(name, count, total) for name, (count, total) in rows.items()]
    found.sort(key=lambda row: -row[2])
    return found if limit is None else found[:limit]
"""
_NORMALIZE = """def normalize(entries, rates, default=None):
    changed = 0
    for entry in entries:
        currency = entry.currency
        if not currency:
            continue
        rate = rates[currency] if default is None else rates.get(currency, default)
        if rate != 1:
            entry.amount, entry.currency, changed = entry.amount * rate, "", changed + 1
    return changed
"""


def _but(text: str, *changes: tuple[str, str]) -> str:
    """The text with parts replaced; each part must be in it."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


_END = "return found if limit is None else found[:limit]"
_FOUND = "found = [(name, count, total) for name, (count, total) in rows.items()]"
_RATE = "rate = rates[currency] if default is None else rates.get(currency, default)"
_SET = 'entry.amount, entry.currency, changed = entry.amount * rate, "", changed + 1'

_PLAIN = """def _plain(numbers):
    total = 0.0
    for number in numbers:
        total += number
    return total


"""
_TRY = """        try:
            name = getattr(entry, by)
        except AttributeError:
            raise AttributeError(f'no field {by}') from None
"""

WRONG = {
    "drops an edge case": _but(_SUMMARIZE, ("limit is None", "not limit")),
    "wrong type of a row": _but(
        _SUMMARIZE, ("(name, count, total) for", "[name, count, total] for")
    ),
    "wrong type of a number": _but(_SUMMARIZE, ("(0, 0.0)", "(0, 0)")),
    "float drift": _but(
        _SUMMARIZE,
        ("(0, 0.0)", "(0, [])"),
        ("total + entry.amount", "[*total, entry.amount]"),
        ("(name, count, total) for", "(name, count, float(sum(sorted(total)))) for"),
    ),
    "unstable order": _but(_SUMMARIZE, ("-row[2]", "(-row[2], row[0])")),
    "other order": _but(_SUMMARIZE, ("-row[2]", "row[2]")),
    "cached global": """_known = {}


def summarize(entries, by="account", limit=None):
    if (len(entries), by) not in _known:
        rows = {}
        for entry in entries:
            count, total = rows.get(getattr(entry, by), (0, 0.0))
            rows[getattr(entry, by)] = count + 1, total + entry.amount
        found = [(name, count, total) for name, (count, total) in rows.items()]
        _known[len(entries), by] = sorted(found, key=lambda row: -row[2])
    return _known[len(entries), by][:limit]
""",
    "a remembered answer that callers share": _but(
        _SUMMARIZE,
        ("def summarize", "_known = {}\n\n\ndef summarize"),
        (
            "    rows = {}\n",
            "    key = repr((entries, by, limit))\n    if key in _known:\n        return _known[key]\n    rows = {}\n",
        ),
        (
            _END,
            "_known[key] = found if limit is None else found[:limit]\n    return _known[key]",
        ),
    ),
    "exception swallowed": _but(
        _SUMMARIZE, ("getattr(entry, by)", "getattr(entry, by, None)")
    ),
    "an iterator for a list": _but(
        _SUMMARIZE, (_END, "return iter(found if limit is None else found[:limit])")
    ),
    "mutated argument": _but(
        _SUMMARIZE,
        (
            "    rows = {}\n",
            "    entries.sort(key=lambda entry: entry.account)\n    rows = {}\n",
        ),
    ),
    "negative limit": _but(_SUMMARIZE, ("found[:limit]", "found[:max(limit, 0)]")),
    "skips zeros": _but(
        _SUMMARIZE,
        (
            "        name =",
            "        if not entry.amount:\n            continue\n        name =",
        ),
    ),
    "copies for the arguments": _but(
        _NORMALIZE,
        (
            "    changed = 0\n",
            "    changed = 0\n    entries = [type(e)(e.account, e.amount, e.currency) for e in entries]\n",
        ),
    ),
    "wrong count": _but(_NORMALIZE, ("return changed", "return len(entries)")),
    "another default": _but(
        _NORMALIZE, ("rates.get(currency, default)", "rates.get(currency, 1)")
    ),
    "unknown ones skipped": _but(
        _NORMALIZE, ("rates[currency] if", "rates.get(currency, 1) if")
    ),
    "changes the table": _but(
        _NORMALIZE,
        ("rates.get(currency, default)", "rates.setdefault(currency, default)"),
    ),
    "rounded": _but(
        _NORMALIZE, ("entry.amount * rate", "round(entry.amount * rate, 6)")
    ),
    "half of the change": _but(
        _NORMALIZE, ('rate, "", changed', "rate, currency, changed")
    ),
}

HONEST = {
    "a table": _SUMMARIZE,
    "groups first": """def summarize(entries, by="account", limit=None):
    groups = {}
    for entry in entries:
        groups.setdefault(getattr(entry, by), []).append(entry.amount)
    rows = []
    for name, amounts in groups.items():
        total = 0.0
        for amount in amounts:
            total += amount
        rows.append((name, len(amounts), total))
    rows.sort(key=lambda row: -row[2])
    return rows if limit is None else rows[:limit]
""",
    "built-in sum": _but(
        _SUMMARIZE,
        ("(0, 0.0)", "(0, [0.0])"),
        ("total + entry.amount", "[*total, entry.amount]"),
        ("(name, count, total) for", "(name, count, _plain(total)) for"),
        (
            "def summarize",
            _PLAIN + "def summarize",
        ),
    ),
    "one slice": _but(_SUMMARIZE, (_END, "return found[:limit]")),
    "sorted": _but(
        _SUMMARIZE,
        ("    found.sort(key=lambda row: -row[2])\n", ""),
        (_END, "return sorted(found, key=lambda row: -row[2])[:limit]"),
    ),
    "attrgetter": _but(
        _SUMMARIZE,
        ("def summarize", "from operator import attrgetter\n\n\ndef summarize"),
        (
            "    rows = {}\n",
            "    rows, get = {}, attrgetter(by) if '.' not in by else (lambda entry: getattr(entry, by))\n",
        ),
        ("getattr(entry, by)\n        count", "get(entry)\n        count"),
    ),
    "two tables": """def summarize(entries, by="account", limit=None):
    counts, totals = {}, {}
    for entry in entries:
        name = getattr(entry, by)
        counts[name] = counts.get(name, 0) + 1
        totals[name] = totals.get(name, 0.0) + entry.amount
    rows = [(name, counts[name], totals[name]) for name in counts]
    rows.sort(key=lambda row: -row[2])
    return rows if limit is None else rows[:limit]
""",
    "defaultdict": _but(
        _SUMMARIZE,
        ("def summarize", "from collections import defaultdict\n\n\ndef summarize"),
        ("rows = {}", "rows = defaultdict(lambda: (0, 0.0))"),
        ("rows.get(name, (0, 0.0))", "rows[name]"),
    ),
    "other exception text": _but(
        _SUMMARIZE,
        (
            "        name = getattr(entry, by)\n",
            _TRY,
        ),
    ),
    "local state": _but(
        _SUMMARIZE,
        (
            "    rows = {}\n",
            "    rows = {}\n    append = list().append\n    append(1)\n",
        ),
    ),
    "lists inside": """def summarize(entries, by="account", limit=None):
    places, rows = {}, []
    for entry in entries:
        name = getattr(entry, by)
        at = places.setdefault(name, len(rows))
        if at == len(rows):
            rows.append([name, 0, 0.0])
        row = rows[at]
        row[1] += 1
        row[2] += entry.amount
    rows.sort(key=lambda row: -row[2])
    return [tuple(row) for row in rows[:limit]]
""",
    "early end": _but(
        _SUMMARIZE,
        ("    rows = {}\n", "    if not entries:\n        return []\n    rows = {}\n"),
    ),
    "a shorter loop": _NORMALIZE,
    "no early continue": """def normalize(entries, rates, default=None):
    changed = 0
    for entry in entries:
        if entry.currency != "":
            rate = rates[entry.currency] if default is None else rates.get(entry.currency, default)
            if rate != 1:
                entry.amount *= rate
                entry.currency = ""
                changed += 1
    return changed
""",
    "one lookup": _but(
        _NORMALIZE,
        (
            "    changed = 0\n",
            "    changed = 0\n    get = rates.__getitem__ if default is None else (lambda one: rates.get(one, default))\n",
        ),
        (_RATE, "rate = get(currency)"),
    ),
    "local names": _but(
        _NORMALIZE,
        ("    changed = 0\n", "    changed = 0\n    table, other = rates, default\n"),
        (
            _RATE,
            "rate = table[currency] if other is None else table.get(currency, other)",
        ),
    ),
    "another KeyError": _but(
        _NORMALIZE,
        (
            _RATE,
            "if default is None and currency not in rates:\n            raise KeyError('no rate')\n        "
            + _RATE,
        ),
    ),
    "count at the end": _but(
        _NORMALIZE,
        ("changed = 0\n", "changed = []\n"),
        (
            _SET,
            'entry.amount, entry.currency = entry.amount * rate, ""\n            changed.append(entry)',
        ),
        ("return changed", "return len(changed)"),
    ),
    "setattr": _but(
        _NORMALIZE,
        (
            _SET,
            'setattr(entry, "amount", entry.amount * rate)\n            setattr(entry, "currency", "")\n            changed += 1',
        ),
    ),
    "sum of a helper": """def _convert(entry, rates, default):
    if entry.currency == "":
        return 0
    rate = rates[entry.currency] if default is None else rates.get(entry.currency, default)
    if rate == 1:
        return 0
    entry.amount = entry.amount * rate
    entry.currency = ""
    return 1


def normalize(entries, rates, default=None):
    return sum([_convert(entry, rates, default) for entry in entries])
""",
}
