"""Effects: the answer to a question and its maps, before and after something was changed."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from probe.engine.prompts import readable
from probe.engine.readings import LayersHeads, Reading, TokenChoice, shorten
from probe.engine.view import View


@dataclass(frozen=True, repr=False)
class Effect:
    """The answer to a question, and its reading, before and after something was changed."""

    before: Reading
    after: Reading
    answers: tuple[str, str]
    """The most likely first token of the answer, before and after."""

    def __repr__(self) -> str:
        first, second = (shorten(answer, 20) for answer in self.answers)
        answer = f"answer {first!r} -> {second!r}" if self.answer_changed else f"answer {first!r}"
        return (
            f"Effect({shorten(self.before.prompt.question)!r}: margin {self.before.margin:+.2f} -> "
            f"{self.after.margin:+.2f}, {answer})"
        )

    @property
    def margin_change(self) -> float:
        """Yes minus no after the change, less that before it, in logits."""
        return self.after.margin - self.before.margin

    @property
    def answer_changed(self) -> bool:
        """True if another first token became the most likely."""
        return bool(self.before.logits.argmax() != self.after.logits.argmax())

    @property
    def answer_probability_change(self) -> float:
        """The change of the log probability, in nats, of the whole answer that was read.

        Raises:
            ValueError: if no answer was read.
        """
        before, after = (one.answer_log_probabilities.sum() for one in (self.before, self.after))
        return float(after - before)

    def heat_moved(self, tokens: TokenChoice, *, layers_heads: LayersHeads | None = None) -> float:
        """Compute the share of a token's map that moved elsewhere: total variation, 0 to 1.

        Each map is scaled to sum to one; a map that is zero on one side only has moved by 1.

        Args:
            tokens: A place in the question, a word of it, or several, whose maps are averaged.
            layers_heads: Pairs of layer and head to average over; all that were read by default.
        """
        before, after = (
            reading.heatmap(tokens, layers_heads=layers_heads).values
            for reading in (self.before, self.after)
        )
        # A map that was cut away altogether cannot be scaled to sum to one.
        if before.sum() == 0 or after.sum() == 0:
            return float((before.sum() == 0) != (after.sum() == 0))
        return float((before / before.sum() - after / after.sum()).abs().sum() / 2)

    def peak_moved(self, tokens: TokenChoice, *, layers_heads: LayersHeads | None = None) -> bool:
        """Tell whether another cell became the strongest of a token's map.

        The arguments are those of `heat_moved`.
        """
        before, after = (
            reading.heatmap(tokens, layers_heads=layers_heads)
            for reading in (self.before, self.after)
        )
        return before.peak != after.peak

    def to_dict(self) -> dict[str, Any]:
        """Return the question, both margins and both answers, in plain values."""
        return {
            "question": self.before.prompt.question,
            "margin_before": self.before.margin,
            "margin_after": self.after.margin,
            "margin_change": self.margin_change,
            "answer_before": self.answers[0],
            "answer_after": self.answers[1],
            "answer_changed": self.answer_changed,
        }

    def to_frame(self) -> pd.DataFrame:
        """Return one row a token, in order, with how its map changed.

        Columns: `index`, `token`, `kind`, `activation_before` and `activation_after` (the strongest
        attention to any one cell, layers and heads averaged), `heat_moved` and `peak_moved`.
        """
        before, after = self.before.to_frame(), self.after.to_frame()
        return pd.DataFrame(
            {
                **{name: before[name] for name in ("index", "token", "kind")},
                "activation_before": before["activation"],
                "activation_after": after["activation"],
                "heat_moved": [self.heat_moved(index) for index in before["index"]],
                "peak_moved": [self.peak_moved(index) for index in before["index"]],
            }
        )


def compare_readings(view: View, before: Reading, after: Reading) -> Effect:
    """Make the effect of a change from the readings before and after it."""
    ids = [int(reading.logits.argmax()) for reading in (before, after)]
    first, second = view.checkpoint.processor.tokenizer.convert_ids_to_tokens(ids)
    return Effect(before, after, (readable(first), readable(second)))
