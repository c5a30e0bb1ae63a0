"""Models of random weights at a chosen size, opened by this toolkit and by plain transformers.

Both have the same weights. Attention is moderately sharp, so that a wrong row would be seen.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

# Its classes load when they are first used, which is after probe has adapted torchvision.
import transformers
from comparison import BenchmarkOptions
from jaxtyping import Bool, Float
from torch import Tensor

from probe.engine.checkpoint import Checkpoint
from probe.engine.decoder import Decoder
from probe.engine.families import family_of
from probe.engine.model import VideoLM
from probe.organism.network import make_processor
from probe.organism.shapes import make_vocabulary
from probe.video import Video

CONTEXT = 32768
"""Number of positions of a model of random weights: enough for the longest benchmark."""

CLIP_RATE = 10.0
"""Frames a second of a video of noise."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a LLaVA-NeXT-Video model."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    vocabulary: int
    """Rows of the embedding; at least as many as the tokenizer has words."""

    cells: int
    """Rows, and columns, of visual tokens in a frame; each token pools two by two patches."""

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
        """Return the number of frames that have about so many visual tokens, at least one."""
        return max(1, round(tokens / self.cells**2))


TINY = Shape(6, 64, 128, 4, 128, 4, 2, 1, 32, 64, 2)
MODEL_SHAPES = {
    "small": Shape(8, 256, 688, 8, 128, 8, 4, 3, 96, 384, 4),
    "small-144": Shape(8, 256, 688, 8, 128, 12, 4, 3, 96, 384, 4),
    "wide": Shape(8, 1024, 2752, 16, 128, 8, 4, 3, 96, 384, 4),
    "7b": Shape(32, 4096, 11008, 32, 32064, 12, 14, 24, 1024, 4096, 16),
}
"""Shapes by name.

small: the vision tower has about as large a share of the cost as in a 7B. small-144: the same with
as many visual tokens a frame as the paper's model. wide: 768 tokens are to its width as 3,000 are
to that of a 7B. 7b: the true sizes of LLaVA-NeXT-Video-7B.
"""

CLIP_FRAMES = {"small": 20, "small-144": 20, "wide": 12, "7b": 8}
"""Number of frames of the clip by shape: 20 as in the paper. The wide shape has fewer to keep its
proportions, and the 7B since eager matrices for 20 frames need over 80 GB."""
QUICK_FRAMES = 4


def shape_of(options: BenchmarkOptions) -> Shape:
    """Return the sizes of the model of a run."""
    return TINY if options.quick else MODEL_SHAPES[options.shape]


def frames_of(options: BenchmarkOptions) -> int:
    """Return the number of frames of the clip of a run."""
    return QUICK_FRAMES if options.quick else CLIP_FRAMES[options.shape]


def open_video_lm(shape: Shape, options: BenchmarkOptions) -> VideoLM:
    """Open the model as this toolkit does."""
    module = _create_module(shape, options)
    checkpoint = Checkpoint(module, _create_processor(shape), family_of(module.config.model_type))
    return VideoLM(name="random", revision=None, decoder=Decoder(checkpoint))


def make_noise_video(frames: int, shape: Shape) -> Video:
    """Make a video of noise, at the size that the model sees."""
    pictures = np.random.default_rng(0).integers(
        0, 256, (frames, shape.side, shape.side, 3), dtype=np.uint8
    )
    return Video(pictures, tuple(range(frames)), np.arange(frames) / CLIP_RATE)


@dataclass(frozen=True, eq=False)
class Peer:
    """The same model in plain transformers, without this toolkit."""

    module: Any
    processor: Any

    @contextmanager
    def eager(self) -> Iterator[None]:
        """Use eager attention in the block, which `output_attentions` needs."""
        self.module.set_attn_implementation("eager")
        try:
            yield
        finally:
            self.module.set_attn_implementation("sdpa")

    @property
    def decoder(self) -> Any:
        """Language model without its head."""
        return self.module.model.language_model

    def inputs(self, video: Video, question: str) -> dict[str, Tensor]:
        """Process a video and a question into inputs of the model."""
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
        """Return the mask of the visual tokens."""
        return inputs["input_ids"][0] == self.module.config.video_token_id

    @torch.no_grad()
    def embeddings(self, inputs: dict[str, Tensor]) -> Float[Tensor, "1 token hidden"]:
        """Compute the inputs of the language model: visual tokens and text, in one row."""
        entered = []
        hook = self.decoder.register_forward_pre_hook(
            lambda _, __, options: entered.append(options["inputs_embeds"]), with_kwargs=True
        )
        self.module(**inputs, use_cache=False, logits_to_keep=1)
        hook.remove()
        return entered[0]


def peer(shape: Shape, options: BenchmarkOptions) -> Peer:
    """Open the model in plain transformers, with the same weights as `open_video_lm`."""
    # Frozen weights, as the engine has them: else a gradient would be computed for each of them.
    module = _create_module(shape, options).eval().requires_grad_(False)
    return Peer(module, _create_processor(shape))


def _create_module(shape: Shape, options: BenchmarkOptions) -> Any:
    # The same seed and order of construction give both sides the same weights.
    torch.manual_seed(0)
    with torch.device(options.device):
        return transformers.LlavaNextVideoForConditionalGeneration._from_config(
            _create_config(shape), attn_implementation="sdpa", dtype=getattr(torch, options.dtype)
        )


def _create_config(shape: Shape) -> transformers.LlavaNextVideoConfig:
    ids = make_vocabulary()
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
        # The true size of the embedding matters for the cost; the ids of the tokenizer must fit.
        vocab_size=max(shape.vocabulary, len(ids)),
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=CONTEXT,
        # Wide enough that attention is not uniform, in which wrong rows would look right.
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


def _create_processor(shape: Shape) -> Any:
    """Return a processor with the organism's words and template, at this model's frame size."""
    processor = make_processor()
    processor.patch_size = shape.patch
    processor.video_processor.size = {"shortest_edge": shape.side}
    processor.video_processor.crop_size = {"height": shape.side, "width": shape.side}
    return processor
