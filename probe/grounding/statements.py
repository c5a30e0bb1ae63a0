"""Queries as statements: a question, a request or a title becomes a phrase that names a thing."""

import re

from probe.grounding.grammar import Clause
from probe.grounding.lexicon import (
    AUXILIARIES,
    BE,
    DETERMINERS,
    DO,
    EDGES,
    LOOKS,
    NAMELESS,
    PAST,
    SMALL,
    VERBS,
    is_known,
)

MOST_WORDS = 200
"""Words of the longest query. Captions of HC-STVG and VidSTG have at most about 50; much longer
text is no description of one object, and each word of it costs attention in every look."""

LETTERS_A_WORD = 10
"""Characters that a word and its space may have on average; in English they have about six."""

SPARE_WORDS = 10
"""Words that a statement or a question may have more than the query it was made of: "something that
...", "Is there the circle that is ... in this video?"."""


DASHES = frozenset(("-", "--", "\u2013", "\u2014"))
"""Marks between words that are no words: a dash alone would be taken for a noun."""

QUOTES = frozenset("\"'\u2018\u2019\u201c\u201d")
"""Straight and curved quotes, single and double."""


def as_statement(query: str) -> str:
    """Turn a query into a phrase that can follow "Is there": a question into what it asks for.

    >>> as_statement("What does the child in red hold?")
    'something that the child in red holds'
    >>> as_statement("who opens the door")
    'someone who opens the door'
    >>> as_statement("There is a brown dog chasing a ball.")
    'a brown dog chasing a ball'
    >>> as_statement("IS THE RED CIRCLE JUMPING?")
    'the red circle is jumping'

    Raises:
        ValueError: if the query is empty or too long.
    """
    check_length(query, MOST_WORDS + SPARE_WORDS)
    return rephrase(query)


def check_length(text: str, most_words: int = MOST_WORDS) -> None:
    """Refuse a text that has too many words, or too many characters for so many words.

    Raises:
        ValueError: if it is too long.
    """
    if is_too_long(text, most_words):
        words, letters = _count(text)
        raise ValueError(
            f"the query has {words:,} words and {letters:,} characters; describe one object in at "
            f"most {MOST_WORDS} words and {MOST_WORDS * LETTERS_A_WORD:,} characters"
        )


def is_too_long(text: str, most_words: int = MOST_WORDS) -> bool:
    """Tell whether a text has too many words, or too many characters for so many words."""
    words, letters = _count(text)
    return words > most_words or letters > most_words * LETTERS_A_WORD


def _count(text: str) -> tuple[int, int]:
    """Count the words and characters of a text, without needless spaces."""
    words = text.split()
    if len(words) <= 2 * MOST_WORDS:  # "don't" is two words, and is asked as these
        words = _write_out(" ".join(words)).split()
    return len(words), len(" ".join(words))


def trim(text: str) -> str:
    """Drop the final mark and needless spaces, and capitals that say nothing.

    A small first word is written in lower case, and so is a whole text in capitals.

    Raises:
        ValueError: if there are no words.
    """
    if not text.strip():
        raise ValueError("the query is empty; say in words what to look for")
    text = text.strip()
    words = (_unquote(text).rstrip(".?! ") or text).split()
    words = [word for word in words if word not in DASHES] or words
    if _carries_no_case(words):
        words = [word.lower() for word in words]
    words = [word.lower() if _is_emphasised(word) else word for word in words]
    # Only words of the lists lose their capital: any other may be a name, as in "Messi kicks".
    first = words[0].lower()
    return " ".join([first if first in SMALL else words[0], *words[1:]])


def _unquote(text: str) -> str:
    """Drop the quotes around a whole text."""
    inner = text.rstrip(".?! ")[1:-1]
    quoted = text[0] in QUOTES and text.rstrip(".?! ")[-1:] in QUOTES
    return inner if quoted and inner.strip(EDGES) and text[0] not in inner else text


def _carries_no_case(words: list[str]) -> bool:
    """Tell whether capitals tell no names from other words: "THE RED CIRCLE", "The Red Circle".

    A name alone, as in "NASA" or "Lionel Messi", looks the same. It keeps its capitals unless one
    of its words is known, and would have none in a sentence.
    """
    lettered = [word for word in words if any(map(str.isalpha, word))]
    initials = [next(filter(str.isalpha, word)) for word in lettered]
    if not all(letter.isupper() for letter in initials):
        return False
    if all(word.isupper() for word in lettered):
        # The "A" of "A UFO" has its capital from the place, not from shouting.
        shouted = [word for word in lettered if sum(map(str.isalpha, word)) > 1]
        return len(shouted) > 1 or any(map(_is_known, shouted))
    return any(map(_is_known, lettered[1:]))


def _is_emphasised(word: str) -> bool:
    """Tell whether a word is in capitals and no name: "the RED circle", but "the IT expert"."""
    several = word.isupper() and sum(map(str.isalpha, word)) > 1
    return several and _is_known(word) and word.strip(EDGES).lower() not in NAMELESS


def _is_known(word: str) -> bool:
    return is_known(word.strip(EDGES).lower())


_SHORT_FORMS = {
    r"\bcan['\u2019]t\b": "can not",
    r"\bwon['\u2019]t\b": "will not",
    r"(?<=\w)n['\u2019]t\b": " not",
    r"\b(who|what|which|that|where|there|it|he|she)['\u2019]s\b": r"\1 is",
}
"""Patterns of short forms, and their words in full."""


def _write_out(text: str) -> str:
    for pattern, full in _SHORT_FORMS.items():
        text = re.sub(pattern, full, text, flags=re.I)
    return text


_SHOWN = r"(?:(?:this|the) (?:video|clip)|this (?:image|picture|photo))"
"""A pattern of what the model is shown; "the picture" may as well hang on a wall in it."""


_OPENINGS = (
    r"(?:and|then|now|suddenly|finally),? (?=\w+ )",
    rf"in {_SHOWN},? (?=\w)",
    rf"(?:does|did) {_SHOWN} (?:show|contain|have) (?=(?:the|an?|any|some|two|three) )",
    r"(?:please |can you |could you |do you )*(?:find|locate|show(?: me)?|track|detect|segment|"
    r"highlight|ground|i (?:can )?see|see|look for|search for|point (?:at|to))"
    r"(?= (?:the|an?|every|all|any|my) )",
    r"there(?: is| are| was| were) ",
)
"""Patterns of what may come before a description, and is no part of it."""


def rephrase(text: str) -> str:
    """Turn a question or request of any length into what it asks for.

    Raises:
        ValueError: if there are no words.
    """
    text = trim(text)
    text = _write_out(text)
    for pattern in _OPENINGS:
        text = re.sub(f"^{pattern}", "", text, flags=re.I).strip()
    text = re.sub(rf"(?<=\w) in {_SHOWN}$", "", text, flags=re.I)
    if asked := re.match(r"(?:is|are) there (.+)$", text, re.I):
        return asked[1]
    # "What does the red circle do?" asks for the action; the red circle is what must be found.
    if asked := re.match(r"what (?:does|do|did|is|are) (.+) (?:do|doing)$", text, re.I):
        return asked[1]
    text = re.sub(r"^which of ", "one of ", text, flags=re.I)
    if asked := re.match(r"(who|whom|whose|what|which|where|when|why|how) (.+)$", text, re.I):
        return " ".join(_answer(asked[1].lower(), asked[2].split()))
    words = text.split()
    if words[0].lower() in BE | DO and len(words) > 2:
        return " ".join(_affirm(words))
    return text


_STRANDED = re.compile(
    r" (in front of|next to|away from|away|towards? to|towards?|above|beneath|behind|beside|inside)"
    r"(?= *$| +(?:in|on|at|of|from|to|inside|outside|outdoors)\b)"
)
"""A preposition without its object, as in "what is the man next to at the party?": it is the last
word, or another preposition follows."""


def _answer(asking: str, words: list[str]) -> list[str]:
    """Turn a question into what it asks for: "who", "opens the door" to "someone who opens ..."."""
    asked = {
        "who": ["someone", "who"],
        "whom": ["someone", "whom"],
        "whose": ["someone", "whose"],
        "what": ["something", "that"],
    }
    pronoun, clause = asked.get(asking, []), Clause(words)
    if clause[0] in DO:
        return [*pronoun, *_undo_inversion(words)]
    # "is the woman feeding", after "what": the verb moves from the front to where a statement has
    # it: "something that the woman is feeding".
    if clause[0] in BE and (clause[1] in DETERMINERS or not pronoun):
        restored = _undo_copula(words)
        return [*pronoun, *restored] if restored else words[1:] or words
    # "what hat does the man wear", "what colour is the ball", "which dog is the man feeding".
    if asking in {"what", "which", "how"} and (asked_of := _name_asked(words)):
        return asked_of
    # "what licks the goat" asks for a thing that licks, "what colour ..." and "which dog ..." name
    # their thing themselves.
    verbal = clause[0] in AUXILIARIES or clause[0] in PAST or clause[0].endswith("s")
    if asking == "how":  # "how many dogs run"
        return words
    return [*pronoun, *words] if pronoun and (asking != "what" or verbal) else ["the", *words]


def _name_asked(words: list[str]) -> list[str]:
    """Turn "dog is the man feeding", after "which", to "the dog that the man is feeding".

    It is [] if the words are no such question.
    """
    clause = Clause(words)
    at = next((i for i in range(1, len(words) - 1) if clause[i] in BE | DO), 0)
    if not at or clause[at + 1] not in DETERMINERS or Clause(words[:at]).main_verb is not None:
        return []
    if clause[at] in DO:
        return ["the", *words[:at], "that", *_undo_inversion(words[at:])]
    restored = _undo_copula(words[at:])
    # "what colour is the ball" asks about the ball, "how big is the ball" too.
    return ["the", *words[:at], "that", *restored] if restored else words[at + 1 :]


def _undo_copula(words: list[str]) -> list[str]:
    """Put a form of "be" back before its participle or preposition; [] if it has none."""
    inner = Clause(words[1:])
    stranded = _STRANDED.search(" ".join(inner.words))
    acting = (inner.skip_adverbs(i) for i in range(len(inner.words)) if inner.is_acting(i))
    at = len(stranded.string[: stranded.start()].split()) if stranded else next(acting, None)
    return [] if at is None else [*words[1 : at + 1], words[0].lower(), *words[at + 1 :]]


def _affirm(words: list[str]) -> list[str]:
    """Turn a yes-or-no question into what it says: "is the circle jumping", "does the man run"."""
    clause = Clause(words)
    if clause[0] in DO:
        return _undo_inversion(words)
    if clause[len(words) - 1] in LOOKS and clause[len(words) - 2] not in {*DETERMINERS, *LOOKS}:
        return [*words[1:-1], words[0].lower(), words[-1]]
    return _undo_copula(words) or words[1:]


def _undo_inversion(words: list[str]) -> list[str]:
    """Put a question with "do" in the order of a statement: "the man leans on", "he did lean"."""
    clause = Clause(words)
    # The verb is the last word if none is known: "what does the man defenestrate".
    verbs = (i for i in range(2, len(words)) if clause[i] in VERBS and not clause.wants_noun(i))
    at = next(verbs, len(words) - 1)
    verb = [words[0].lower(), words[at]]
    if verb[0] == "does":
        stem = re.sub(r"(?<=[^aeiou])y$", "ie", words[at])  # carry, carries; but play, plays
        verb = [stem + ("es" if stem.endswith(("s", "x", "ch", "sh", "o")) else "s")]
    elif verb[0] == "do":
        verb = [words[at]]
    return [*words[1:at], *verb, *words[at + 1 :]]
