"""Text of users made visible: signs that would move a cursor or turn a line are written as escapes.

A query, a file name or a message of a library may hold anything. A terminal would obey it, and a
picture would leave it out.
"""

import unicodedata

SHOWN_CATEGORIES = frozenset({"Zs", "Co", "Cn"})
"""Categories that Python calls not printable, but which do no harm: spaces, private signs, and
signs that are newer than this version of Python, such as an emoji of this year."""

JOINERS = frozenset("\u200c\u200d")
"""Signs that join the letters or the emoji around them, or keep them apart."""


def escape(text: str) -> str:
    r"""Write control signs, line ends, turns of direction and lone surrogates as Python escapes.

    What is left can be printed in one line: it moves no cursor, colours nothing, and reads in the
    order in which it was written.

    >>> escape("red\x1b[2J\n男")
    'red\\x1b[2J\\n男'
    """
    if text.isprintable():
        return text
    previous = ["", *text]
    return "".join(
        sign if _is_shown(sign, before) else sign.encode("unicode_escape").decode()
        for before, sign in zip(previous, text, strict=False)
    )


def _is_shown(sign: str, before: str) -> bool:
    if sign.isprintable() or unicodedata.category(sign) in SHOWN_CATEGORIES:
        return True
    # Persian and emoji need joiners. After a Latin letter they would only hide in the text.
    return sign in JOINERS and not before.isascii()
