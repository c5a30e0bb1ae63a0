"""Thoughts: the marks between which some models reason before they answer.

A yes or no is read from the first token of the answer, so a text that leaves a thought open is no
place to read one.
"""

import re

_MARK = re.compile(
    # Gemma 4 thinks in a channel; all others name the mark after what is between the two.
    r"<\|channel>|<channel\|>"
    r"|[<\[◁][^<>\[\]◁▷\s]*?(?<!no)(?<!no[_-])(?:think|thought|reason)[^<>\[\]◁▷\s]*[>\]▷]",
    re.IGNORECASE,
)
"""A mark that opens or closes a thought. It is looked for in text and not among control tokens,
since not every tokenizer makes one of it."""


def find_open_thought(text: str) -> str | None:
    """Return the mark of the thought that a text leaves open; None if it leaves none open.

    >>> find_open_thought("assistant: <think>")
    '<think>'
    >>> find_open_thought("assistant: <think> </think>") is None
    True
    """
    marks = _MARK.findall(text)
    return marks[-1] if marks and not _closes(marks[-1]) else None


def find_thoughts(text: str) -> list[tuple[int, int]]:
    """Return the characters of each thought in a text, its marks included.

    A thought that is not closed goes on to the end of the text.

    >>> find_thoughts("<think>so</think>yes")
    [(0, 17)]
    """
    thoughts, start = [], None
    for match in _MARK.finditer(text):
        if _closes(match.group()):
            # Some templates open the thought, and the model only closes it.
            thoughts.append((0 if start is None else start, match.end()))
            start = None
        elif start is None:
            start = match.start()
    return thoughts if start is None else [*thoughts, (start, len(text))]


def _closes(mark: str) -> bool:
    return "/" in mark or "end" in mark.lower() or mark == "<channel|>"
