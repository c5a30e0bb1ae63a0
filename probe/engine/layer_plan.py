"""The plan of a decoder's layers: which of them attend, how far, and which keep a recurrent state.

Not every layer of today's decoders attends: some read the tokens one after another into a state of
fixed size (linear attention). Of those that attend, some see only the last tokens before their own
(a sliding window), and some take their keys and values from a layer below.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers.cache_utils import get_layer_types_and_kwargs

FULL, SLIDING = "full_attention", "sliding_attention"
"""Names that transformers gives to the masks of layers that attend."""

RECURRENT = ("linear_attention", "conv")
"""Names of layers that keep a state in the place of keys and values."""


@dataclass(frozen=True)
class LayerPlan:
    """The work of each layer of a decoder."""

    kinds: tuple[str, ...]
    """The name of each layer's mask, such as "full_attention"."""

    attending: tuple[int, ...]
    """The layers that attend, in increasing order."""

    window: int | None = None
    """The number of tokens that layers with a sliding window see, their own included."""

    sharing: tuple[int, ...] = ()
    """The layers that attend with the keys and values of another one."""

    skippable: int = 0
    """The number of lowest layers that a pass may leave out, given what enters the next."""

    by_kind: bool = False
    """True if the decoder takes a mask for each kind of layer, by its name."""

    @classmethod
    def of(cls, decoder: Any, config: Any) -> "LayerPlan":
        """Read the plan of a decoder.

        Args:
            decoder: The language model without its head; its layers are at `.layers`.
            config: Its configuration.

        Raises:
            ValueError: if a layer is of a kind that the engine cannot read exactly.
        """
        kinds = tuple(_kinds(config))
        layers = list(decoder.layers)
        attending = tuple(i for i, layer in enumerate(layers) if hasattr(layer, "self_attn"))
        if not attending:
            raise ValueError("no layer of its decoder has a `self_attn`; there is nothing to read")
        for index, kind in enumerate(kinds):
            known = (FULL, SLIDING) if index in attending else RECURRENT
            if kind not in known:
                raise ValueError(
                    f"layer {index} of its decoder is of the kind {kind!r}, which the engine "
                    f"cannot read exactly"
                )
        modes = getattr(config, "kv_sharing_modes", None) or ["own"] * len(layers)
        return cls(
            kinds=kinds,
            attending=attending,
            window=getattr(config, "sliding_window", None) if SLIDING in kinds else None,
            sharing=tuple(i for i, mode in enumerate(modes) if mode == "reuse"),
            # A layer that others take keys from has to run for the tokens of a question, too.
            skippable=modes.index("store") if "store" in modes else len(layers),
            by_kind=len(set(kinds)) > 1,
        )

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def is_recurrent(self) -> bool:
        """True if a layer keeps a state, which questions in one row would mix up."""
        return any(kind in RECURRENT for kind in self.kinds)

    @property
    def last_read(self) -> int:
        """The last layer at which the states of a video still reach its questions.

        Above it, all layers attend with the keys of a lower one.
        """
        return max(set(range(len(self))) - set(self.sharing))

    @property
    def masks(self) -> tuple[str, ...]:
        """The kinds of mask that its layers use."""
        return tuple(dict.fromkeys(self.kinds[layer] for layer in self.attending))

    def window_of(self, kind: str) -> int | None:
        """Return how many tokens a layer of this kind sees; None for all before its own."""
        return self.window if kind == SLIDING else None

    def argument(self, masks: Mapping[str, Any]) -> Any:
        """Arrange masks by kind as the decoder takes them; None for a kind that has none."""
        if not self.by_kind:
            return masks.get(self.kinds[0])
        return {kind: masks.get(kind) for kind in dict.fromkeys(self.kinds)}

    def check_attending(self, layers: Sequence[int]) -> None:
        """Refuse layers without attention.

        Raises:
            ValueError: if there is one among them.
        """
        if blind := [layer for layer in layers if layer not in self.attending]:
            raise ValueError(explain_no_attention(blind, self.attending))

    def describe(self) -> str:
        """Say in words which layers attend."""
        if len(self.attending) == len(self):
            return f"all {len(self)} layers attend"
        return f"{len(self.attending)} of {len(self)} layers attend: {list_numbers(self.attending)}"


def explain_no_attention(layers: Sequence[int], attending: Sequence[int]) -> str:
    """Say which of the wanted layers have no attention, and which do."""
    return (
        f"layers without attention in this model: {list_numbers(layers)}; it attends in layers "
        f"{list_numbers(attending)}"
    )


def list_numbers(numbers: Sequence[int], most: int = 8) -> str:
    """Write numbers for people: the first of them, and the last where they are many.

    >>> list_numbers((3, 7, 11)), list_numbers(range(20), most=4)
    ('3, 7, 11', '0, 1, 2, 3, …, 19')
    """
    if len(numbers) <= most + 1:
        return ", ".join(map(str, numbers))
    return f"{', '.join(map(str, numbers[:most]))}, …, {numbers[-1]}"


def cache_kinds(config: Any) -> Sequence[str]:
    """Name what each layer keeps of a text, by the configuration of the language model.

    "dummy" where a layer takes the keys of another.
    """
    return get_layer_types_and_kwargs(config)[0]


def _kinds(config: Any) -> Sequence[str]:
    """Name the mask of each layer; transformers infers it where the configuration does not."""
    return getattr(config, "layer_types", None) or cache_kinds(config)
