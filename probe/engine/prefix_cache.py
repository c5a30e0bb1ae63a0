"""The cache of a prefix: the one object of the engine that changes."""

from collections.abc import Callable, Mapping, Sequence

from jaxtyping import Float, Int
from torch import Tensor

from probe.engine.decoder import NO_MASKS, Decoder, VideoMasks
from probe.engine.past import Past
from probe.engine.prefix import Prefix
from probe.engine.questions import QuestionTokens

Added = Mapping[int, Float[Tensor, "token hidden"]]
"""The vectors that latent prompts add to the states that enter a layer, by layer."""


class PrefixCache:
    """Past and states of one prefix, computed when first needed and then kept.

    It is mutable, and views that read the same prefix share it: a video asked many questions is
    read once. It grows with the number of layers asked for, never with the number of questions, of
    which only the last ones' states are kept.

    With latent prompts, layers below the lowest of them are read from the cache of the plain
    prefix, and those above carry the graph of the vectors.
    """

    def __init__(
        self,
        decoder: Decoder,
        prefix: Prefix,
        *,
        plain: "PrefixCache | None" = None,
        added: Callable[[], Added] = dict,
        first: int = 0,
        cuts: VideoMasks = NO_MASKS,
    ) -> None:
        """Start empty.

        Args:
            decoder: What reads the prefix.
            prefix: The tokens.
            plain: The cache of the same prefix without latent prompts; None where this is it.
            added: Gives what latent prompts add.
            first: The lowest layer that a latent prompt enters.
            cuts: The positions that each token sees, in layers where edges are cut.
        """
        self._decoder = decoder
        self._prefix = prefix
        self._plain = plain
        self._added = added
        self._first = first
        self.cuts = cuts
        self._past: Past = ()
        # The embeddings enter layer 0, so they need no pass.
        self._states: dict[int, Tensor] = {0: prefix.embeddings}
        self._questions: tuple[tuple[Sequence[Sequence[int]], int], Tensor] | None = None

    def past(self, depth: int) -> Past:
        """Return the past of the first layers; compute those that are missing."""
        if len(self._past) < depth:
            # Not continued from the layers that are there: their last states were not kept, and
            # keeping them for a rare second call would cost every video memory.
            self._past = self._computed(depth)
        return self._past[:depth]

    def states(self, layer: int) -> Float[Tensor, "token hidden"]:
        """Return the states that enter a layer, without latent prompts; computed once."""
        if self._plain is not None:
            return self._plain.states(layer)
        if layer not in self._states:
            (found,) = self._decoder.states_entering(self._prefix, (layer,), self.cuts)
            self._states[layer] = found
        return self._states[layer]

    def states_at(
        self, layers: Sequence[int], places: Int[Tensor, " some"]
    ) -> list[Float[Tensor, "some hidden"]]:
        """Return the states of some tokens that enter layers, in main memory; nothing is kept.

        One pass for all layers, without latent prompts.
        """
        if self._plain is not None:
            return self._plain.states_at(layers, places)
        return self._decoder.states_entering(self._prefix, sorted(layers), self.cuts, places)

    def question_states(
        self, ids: Sequence[Sequence[int]], tokens: QuestionTokens, layer: int
    ) -> Float[Tensor, "token hidden"]:
        """Return the states of questions that enter a layer; kept until others are asked for.

        Steps of learning ask the same questions again and again; `ids` are those of their tokens.
        """
        key = (ids, layer)
        if self._questions is None or self._questions[0] != key:
            read = self._decoder.question_states_entering(self.past(layer), tokens, layer)
            self._questions = (key, read)
        return self._questions[1]

    def start_from(self, past: Past) -> "PrefixCache":
        """Return a cache of the same prefix that has this past already."""
        other = PrefixCache(
            self._decoder,
            self._prefix,
            plain=self._plain,
            added=self._added,
            first=self._first,
            cuts=self.cuts,
        )
        other._past = past
        return other

    def clear(self) -> None:
        """Forget everything, to free memory; what is asked for later is computed again."""
        self._past, self._questions = (), None
        self._states = {0: self._prefix.embeddings}

    def take_over(self, other: "PrefixCache") -> None:
        """Keep what was read with latent vectors of zeros, which is the same, without its graph."""
        # Learning starts from zeros; its first pass is the reading that a question without a
        # prompt would need, so one of the two passes of a grounding is saved.
        if len(other._past) > len(self._past):
            self._past = tuple(tuple(tensor.detach() for tensor in layer) for layer in other._past)

    def _computed(self, depth: int) -> Past:
        decoder, prefix = self._decoder, self._prefix
        if self._plain is None:
            return decoder.prefill(prefix, prefix.embeddings, {}, depth=depth, cuts=self.cuts)
        below = self._plain.past(min(self._first, depth))
        if depth <= self._first:
            return below
        states = self._plain.states(self._first)
        return decoder.prefill(prefix, states, self._added(), below, depth, self.cuts)
