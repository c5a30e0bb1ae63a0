"""Calls of a decoder: the arguments that it takes, and the way in which it computes attention."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from transformers.cache_utils import Cache

from probe.engine.checkpoint import Checkpoint
from probe.engine.layer_plan import LayerPlan
from probe.engine.masks import as_argument
from probe.engine.past import Past, reading_cache
from probe.engine.prefix import Prefix
from probe.engine.questions import QuestionTokens


@dataclass(frozen=True, eq=False)
class Calls:
    """The way in which the decoder of a checkpoint is called."""

    checkpoint: Checkpoint

    @cached_property
    def plan(self) -> LayerPlan:
        """The layers of the decoder and what each of them does."""
        return LayerPlan.of(self.checkpoint.decoder, self.checkpoint.decoder.config)

    @property
    def attention(self) -> str:
        """The implementation that computes attention now, such as "sdpa"."""
        return self.checkpoint.decoder.config._attn_implementation

    @property
    def asking(self) -> str:
        """The implementation that questions are read with."""
        # Flash attention takes no mask, which packed questions need; for these few rows sdpa is
        # fast enough. A few models have only the eager one.
        return "sdpa" if self.checkpoint.decoder._supports_sdpa else "eager"

    @contextmanager
    def attending(self, implementation: str) -> Iterator[None]:
        """Compute the decoder's attention by another implementation for a while."""
        before = self.attention
        if implementation == before:
            yield
            return
        # Of the decoder alone: the vision tower has its own, and has run already.
        choose = self.checkpoint.decoder.set_attn_implementation
        choose(implementation)
        try:
            yield
        finally:
            choose(before)

    def for_questions(self) -> AbstractContextManager[None]:
        """Compute the decoder's attention as questions need it, for a while."""
        return self.attending(self.asking)

    def under(self, has_cuts: bool) -> AbstractContextManager[None]:
        """Compute attention as a prefix needs it, whose edges are cut or not, for a while."""
        # Flash attention takes no mask of ours.
        return self.for_questions() if has_cuts else nullcontext()

    @contextmanager
    def checkpointing(self) -> Iterator[None]:
        """Let the backward pass of passes made now compute each layer again."""
        module, layers = self.checkpoint.module, self.checkpoint.decoder.layers
        module.activation_checkpointing_enable()
        # transformers lets the embeddings require gradients for this; a latent prompt is added
        # later and needs none of them.
        module.disable_input_require_grads()
        for layer in layers:
            # transformers checkpoints in training mode only. The flag of the layer is enough; the
            # modules inside keep theirs, so no dropout becomes active.
            layer.training = True
        try:
            yield
        finally:
            for layer in layers:
                layer.training = False
            module.activation_checkpointing_disable()

    def reading(self, prefix: Prefix, first: int = 0) -> dict[str, Any]:
        """Make the keyword arguments with which a prefix is read, from some layer on."""
        given, dtype = prefix.inputs(first), self.checkpoint.dtype
        # A decoder that is given no mask makes its own.
        if prefix.masks:
            placed = {kind: mask.to(self.checkpoint.device) for kind, mask in prefix.masks.items()}
            given["attention_mask"] = self.plan.argument(
                {
                    kind: as_argument(mask[None, None], self.attention, dtype)
                    for kind, mask in placed.items()
                }
            )
        return given

    def after(self, past: Past, questions: QuestionTokens) -> dict[str, Any]:
        """Make the keyword arguments with which questions are read after a past."""
        return self.going_on(reading_cache(past, self.plan, len(questions.packed.rows)), questions)

    def going_on(self, cache: Cache, questions: QuestionTokens) -> dict[str, Any]:
        """Make the keyword arguments with which questions are read after what is in a cache."""
        packed = questions.packed
        axes = packed.spread(questions.positions.T).movedim(2, 0)
        # A token that fills up a row sees everything: no share can be computed of nothing.
        masks = {
            kind: as_argument(
                packed.spread(mask, fill=1.0)[:, None], self.asking, self.checkpoint.dtype
            )
            for kind, mask in questions.masks.items()
        }
        return {
            "inputs_embeds": packed.spread(questions.embeddings),
            "position_ids": axes[0] if len(axes) == 1 else axes,
            "attention_mask": self.plan.argument(masks),
            **{name: packed.spread(values) for name, values in questions.others.items()},
            "past_key_values": cache,
            "use_cache": True,
        }
