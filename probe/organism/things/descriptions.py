"""Descriptions of things: the words that say which thing is meant."""

from dataclasses import dataclass

RELATIONS = ("next to", "left of", "right of", "behind", "in front of")
"""Relations of two things. The last two mean that one thing covers a part of the other."""


@dataclass(frozen=True)
class Description:
    """Words for a thing; each that is given must be true of it, "" is not said."""

    kind: str = ""
    """The kind; "" for "something"."""

    colour: str = ""
    size: str = ""
    action: str = ""
    """One action with its object, or two joined by " and then "."""

    relation: str = ""
    """One of `RELATIONS`; then `other` is the thing that it is related to."""

    other: "Description | None" = None

    @property
    def noun_phrase(self) -> str:
        """The words for what it is, without an article, its place and what it does.

        >>> Description("car", "red", "small").noun_phrase
        'small red car'
        """
        return " ".join(word for word in (self.size, self.colour, self.kind or "thing") if word)

    @property
    def place(self) -> str:
        """The words for where it is; empty if they are not said."""
        return f"{self.relation} the {self.other.noun_phrase}" if self.other else ""

    @property
    def attribute(self) -> str:
        """The words for which thing is meant, without an article.

        >>> Description("dog", relation="next to", other=Description("car", "red")).attribute
        'dog next to the red car'
        """
        return f"{self.noun_phrase} {self.place}".strip()

    @property
    def plain(self) -> str:
        """The query of this description, without an article.

        >>> Description("dog", action="jumps").plain
        'dog that jumps'
        """
        return f"{self.attribute} that {self.action}" if self.action else self.attribute
