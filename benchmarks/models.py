"""Models of random weights at a chosen size: as this toolkit opens them, and as transformers does.

Both have the same weights. Attention is moderately sharp, so that a wrong row would show.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transformers  # its classes are looked up when used: after probe has readied torchvision
from comparison import Options
from jaxtyping import Bool, Float
from torch import Tensor

from probe.engine.families import family_of
from probe.engine.model import VideoLM
from probe.engine.network import Network
from probe.organism.network import make_processor, vocabulary
from probe.video import Video

CONTEXT = 32768
"""Positions that a model of random weights is made for: the longest benchmark fits."""

CLIP_RATE = 10.0
"""Frames a second of a made-up video."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a LLaVA-NeXT-Video model."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    vocabulary: int
    """Rows of the embedding, at least as many as the tokenizer has words."""

    cells: int
    """Rows, and columns, of visual tokens in a frame; each pools two by two patches."""
    patch: int
    """Side of a patch in pixels."""

    vision_layers: int
    vision_hidden: int
    vision_intermediate: int
    vision_heads: int

    @property
    def side(self) -> int:
        """Width and height of a frame in pixels."""
        return 2 * self.cells * self.patch

    def frames(self, tokens: int) -> int:
        """How many frames have about so many visual tokens; one at least."""
        return max(1, round(tokens / self.cells**2))


TINY = Shape(6, 64, 128, 4, 128, 4, 2, 1, 32, 64, 2)
SHAPES = {
    "small": Shape(8, 256, 688, 8, 128, 8, 4, 3, 96, 384, 4),
    "small-144": Shape(8, 256, 688, 8, 128, 12, 4, 3, 96, 384, 4),
    "wide": Shape(8, 1024, 2752, 16, 128, 8, 4, 3, 96, 384, 4),
    "7b": Shape(32, 4096, 11008, 32, 32064, 12, 14, 24, 1024, 4096, 16),
}
"""A small model in which the vision tower costs about as large a share as in one of 7B; the same
with as many visual tokens a frame as the paper's model has; a wider one, in which 768 tokens are as
many for its width as 3,000 are for a 7B; and the true sizes of LLaVA-NeXT-Video-7B."""

FRAMES = {"small": 20, "small-144": 20, "wide": 12, "7b": 8}
"""Frames of the clip that is learned on and grounded: as many as in the paper; fewer where the
wide shape's proportions want it, and at 7B, where eager matrices for 20 fill over 80 GB."""
QUICK_FRAMES = 4


def shape_of(options: Options) -> Shape:
    """The sizes that a run asks for."""
    return TINY if options.quick else SHAPES[options.shape]


def frames_of(options: Options) -> int:
    """How many frames the clip of a run has."""
    return QUICK_FRAMES if options.quick else FRAMES[options.shape]


def video_lm(shape: Shape, options: Options) -> VideoLM:
    """A model as this toolkit opens it."""
    module = _network(shape, options)
    network = Network(module, _processor(shape), family_of(module.config))
    return VideoLM(name="random", revision=None, network=network)


def made_up_video(frames: int, shape: Shape) -> Video:
    """Noise, at the size that the model sees."""
    pictures = np.random.default_rng(0).integers(
        0, 256, (frames, shape.side, shape.side, 3), dtype=np.uint8
    )
    return Video(pictures, tuple(range(frames)), np.arange(frames) / CLIP_RATE)


@dataclass(frozen=True, eq=False)
class Peer:
    """The same model as others open it: plain transformers, nothing of this toolkit."""

    module: Any
    processor: Any

    @contextmanager
    def eager(self) -> Iterator[None]:
        """Within, attention matrices are made in full, as `output_attentions` needs it."""
        self.module.set_attn_implementation("eager")
        try:
            yield
        finally:
            self.module.set_attn_implementation("sdpa")

    @property
    def decoder(self) -> Any:
        """The language model without its head."""
        return self.module.model.language_model

    def inputs(self, video: Video, question: str) -> dict[str, Tensor]:
        """What the processor makes of a video and a question."""
        content = [{"type": "video"}, {"type": "text", "text": question}]
        text = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        made = self.processor(
            text=[text], videos=[video.frames], do_sample_frames=False, return_tensors="pt"
        )
        made["pixel_values_videos"] = made["pixel_values_videos"].to(self.module.dtype)
        return dict(made.to(self.module.device))

    def visual(self, inputs: dict[str, Tensor]) -> Bool[Tensor, " token"]:
        """Which tokens are visual."""
        return inputs["input_ids"][0] == self.module.config.video_token_id

    @torch.no_grad()
    def embeddings(self, inputs: dict[str, Tensor]) -> Float[Tensor, "1 token hidden"]:
        """What enters the language model: visual tokens and text, in one row."""
        entered = []
        hook = self.decoder.register_forward_pre_hook(
            lambda _, __, options: entered.append(options["inputs_embeds"]), with_kwargs=True
        )
        self.module(**inputs, use_cache=False, logits_to_keep=1)
        hook.remove()
        return entered[0]


def peer(shape: Shape, options: Options) -> Peer:
    """The same weights as those of `video_lm`, in plain transformers."""
    module = _network(shape, options).eval().requires_grad_(False)
    return Peer(module, _processor(shape))


def _network(shape: Shape, options: Options) -> Any:
    torch.manual_seed(0)
    with torch.device(options.device):
        return transformers.LlavaNextVideoForConditionalGeneration._from_config(
            _config(shape), attn_implementation="sdpa", dtype=getattr(torch, options.dtype)
        )


def _config(shape: Shape) -> transformers.LlavaNextVideoConfig:
    ids = vocabulary()
    vision = transformers.CLIPVisionConfig(
        hidden_size=shape.vision_hidden,
        intermediate_size=shape.vision_intermediate,
        num_hidden_layers=shape.vision_layers,
        num_attention_heads=shape.vision_heads,
        image_size=shape.side,
        patch_size=shape.patch,
        projection_dim=shape.vision_hidden,
    )
    text = transformers.LlamaConfig(
        vocab_size=max(shape.vocabulary, len(ids)),
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=CONTEXT,
        initializer_range=shape.hidden**-0.5,
        pad_token_id=ids["<pad>"],
        bos_token_id=ids["<s>"],
        eos_token_id=ids["</s>"],
    )
    return transformers.LlavaNextVideoConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=ids["<image>"],
        video_token_index=ids["<video>"],
        image_grid_pinpoints=[[shape.side, shape.side]],
        spatial_pool_stride=2,
    )


def _processor(shape: Shape) -> Any:
    """The organism's words and template, at this model's picture size."""
    processor = make_processor()
    processor.patch_size = shape.patch
    processor.video_processor.size = {"shortest_edge": shape.side}
    processor.video_processor.crop_size = {"height": shape.side, "width": shape.side}
    return processor
