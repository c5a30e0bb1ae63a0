"""A checkpoint: weights, processor and tokenizer, and what its family calls their parts.

What needs no pass through the decoder is here; the passes are in `decoder`.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from probe.engine.chat_templates import choose_specials
from probe.engine.context import measure_context
from probe.engine.families import Family, Inputs, entry_for
from probe.engine.grids import VisualGrid
from probe.engine.media import Medium
from probe.engine.metadata import describe_times
from probe.engine.opening import first_line
from probe.engine.pixels import choose_size
from probe.engine.processors import choose_frames
from probe.engine.prompts import AnswerIds, PromptWriter, answer_ids
from probe.video import Sampling, Video

HEAD_STEPS: Mapping[str, Callable[[Tensor, float], Tensor]] = MappingProxyType(
    {
        "logit_scale": lambda logits, scale: logits * scale,
        # Granite divides by a number of this name; none of the families that are read does.
        "logits_scaling": lambda logits, scale: logits * scale,
        "output_multiplier": lambda logits, scale: logits * scale,
        "final_logit_softcapping": lambda logits, cap: torch.tanh(logits / cap) * cap,
    }
)
"""Steps of some models between their head's matrix and the logits, by the entry of the
configuration that holds the number."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model with its processor, and the entry of its family."""

    module: Any
    """The model, of a class of transformers."""

    processor: Any
    family: Family

    pixels: int | None = None
    """The most pixels of a frame that were asked for; None for as many as its authors document."""

    @property
    def config(self) -> Any:
        """The checkpoint's configuration."""
        return self.module.config

    @property
    def device(self) -> torch.device:
        """The device that inputs go to."""
        table = self.module.get_input_embeddings()
        if not table.weight.is_meta:
            return table.weight.device
        # Weights that wait in main memory or on a disk are used where accelerate brings them; a
        # model without memory takes inputs anywhere.
        used_on = getattr(getattr(table, "_hf_hook", None), "execution_device", None)
        return torch.device("cpu" if used_on is None else used_on)

    @property
    def dtype(self) -> torch.dtype:
        """The number type of the weights."""
        return self.module.get_input_embeddings().weight.dtype

    @property
    def decoder(self) -> Any:
        """The language model without its head; its layers are at `.layers`."""
        return operator.attrgetter(self.family.language_model)(self.module)

    @property
    def medium(self) -> Medium:
        """The form in which the model is shown what it looks at."""
        return self.family.medium

    @property
    def depth(self) -> int:
        """The number of decoder layers."""
        return self.config.get_text_config().num_hidden_layers

    @property
    def heads(self) -> int:
        """The number of attention heads in a decoder layer."""
        return self.config.get_text_config().num_attention_heads

    @property
    def placeholder(self) -> int:
        """The id of the token that takes the place of a visual token in the text."""
        return getattr(self.config, self.family.placeholder)

    @property
    def context(self) -> int:
        """The longest sequence the decoder was made for, in tokens."""
        return measure_context(self.config.get_text_config())

    @property
    def settings(self) -> Any:
        """The part of the processor that makes pictures of what the model is shown."""
        return getattr(self.processor, f"{self.medium}_processor")

    @property
    def preferred_frames(self) -> Sampling:
        """The number of frames to sample: the checkpoint's own, else its family's."""
        return choose_frames(self.settings, self.family.frames)

    def for_video(self, video: Video) -> "Checkpoint":
        """Return the checkpoint as it reads this video or picture: by that entry of its family.

        Raises:
            ValueError: if the model is shown one picture at a time, and the video has several.
        """
        entry = entry_for(self.family, video)
        return self if entry is self.family else replace(self, family=entry)

    @cached_property
    def answers(self) -> AnswerIds:
        """The ids of yes and no."""
        return answer_ids(self.processor.tokenizer)

    def writer(self, before: int, tail: str = "", closing: int = 0) -> PromptWriter:
        """Make the writer of questions after `before` tokens of video and template.

        `tail` is what the processor writes after the last visual token, of which the first
        `closing` tokens belong to the video.
        """
        max_tokens = max(0, self.context - before)
        return PromptWriter(
            self.processor, self.family, self.placeholder, max_tokens, tail, closing
        )

    def process(self, video: Video, text: str) -> Inputs:
        """Make the model's inputs of a video and a text, by the checkpoint's own processor."""
        return self.process_with_tail(video, text)[0]

    def process_with_tail(self, video: Video, text: str) -> tuple[Inputs, str]:
        """Make the model's inputs, and find what is written after the last visual token.

        Raises:
            ValueError: if the processor refuses the video.
        """
        shown = _show(self, video)
        try:
            made = self.processor(
                text=[text],
                **shown,
                return_text_replacement_offsets=True,
                return_tensors="pt",
                **self.family.options_for(video),
                **choose_specials(self.processor, text),
            )
        except ValueError as failure:
            height, width = video.size
            raise ValueError(
                f"the processor refuses {len(video)} frames of {height} x {width} pixels: "
                f"{first_line(failure)}; sample more frames, or give pictures of another shape"
            ) from failure
        ((written,),) = made.pop("text_replacement_offsets")
        (last_visual,) = self.processor.tokenizer.convert_ids_to_tokens([self.placeholder])
        # Pictures alone take the number type of the weights; times keep float32, since positions in
        # the sequence are computed from them.
        types = {name: self.dtype for name in made if name.startswith("pixel_values")}
        inputs = {name: value.to(self.device, types.get(name)) for name, value in made.items()}
        return inputs, written["replacement"].rpartition(last_visual)[2]

    def grid(self, video: Video, inputs: Inputs) -> VisualGrid:
        """Find which position of the sequence is which cell of the video."""
        return self.family.grid(self.config, self.processor, video, inputs)

    def embed(self, ids: Sequence[int]) -> Float[Tensor, "token hidden"]:
        """Look up the embeddings of text tokens.

        Raises:
            ValueError: if the tokenizer has written a token that the model does not know.
        """
        table = self.module.get_input_embeddings()
        # Checked, because a GPU answers with a failure that ends the process.
        if ids and max(ids) >= (known := table.weight.shape[0]):
            raise ValueError(
                f"the tokenizer writes token {max(ids)}, but this model knows "
                f"{known}; is the tokenizer this checkpoint's own?"
            )
        return table(torch.tensor(ids, device=self.device))

    def logits(self, hidden: Float[Tensor, "token hidden"]) -> Float[Tensor, "token word"]:
        """Compute next-token logits of last states, in float32."""
        return self.head(hidden).float()

    def head(self, hidden: Float[Tensor, "*batch hidden"]) -> Float[Tensor, "*batch word"]:
        """Compute next-token logits of last states as the model does, in its number type."""
        logits, config = self.module.get_output_embeddings()(hidden), self.config.get_text_config()
        for name, apply in HEAD_STEPS.items():
            if (number := getattr(config, name, None)) is not None:
                logits = apply(logits, number)
        return logits


def _show(checkpoint: Checkpoint, video: Video) -> dict[str, Any]:
    """Make the arguments of the processor for what is seen: a video, or its one picture.

    Raises:
        ValueError: if the processor cannot keep to the pixels that were asked for.
    """
    size = choose_size(checkpoint.settings, checkpoint.pixels, len(video))
    sized = {} if size is None else {"size": size}
    if checkpoint.medium == "image":
        # Of a bare array, processors guess which axis is that of the colours.
        assert video.is_still, "for_video chooses another entry for several frames"
        return {"images": [Image.fromarray(video.frames[0])], **sized}
    return {
        **sized,
        "videos": [video.frames],
        "video_metadata": [describe_times(video)],
        "do_sample_frames": False,
    }
