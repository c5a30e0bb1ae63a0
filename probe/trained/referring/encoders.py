"""CLIP's two encoders as PCNet uses them: cells of a ResNet's last stage, and vectors of texts.

Pictures are squeezed to a square, whatever their aspect, and normalised by the mean and deviation
of ImageNet, not CLIP's own. CLIP's attention pool, which makes one vector of all cells, is left
out: a map needs them apart.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor, nn

from probe.engine.opening import first_line
from probe.video.images import read_pixels

CLIP_NAME = "RN50-quickgelu"
"""open_clip's name of OpenAI's ResNet-50; the one without the suffix has another activation, with
which OpenAI's weights do not work well."""

CLIP_WEIGHTS = "openai"

EXTRA = 'pip install "grounding-probe[referring]"'
"""The command that installs open_clip."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class InputConfig:
    """The sizes in which pictures and sentences are read; the defaults are PCNet's."""

    side: int = 320
    """Rows and columns of pixels of a picture."""

    tokens: int = 20
    """Tokens of the longest text, with the first and the last one; more are cut off."""


class ClipEncoders(nn.Module):
    """The two encoders of a CLIP model whose pictures are read by a ResNet."""

    def __init__(self, clip: Any, architecture: Mapping[str, Any], inputs: InputConfig) -> None:
        """Take the parts of a CLIP model that are used.

        Args:
            clip: A model of open_clip; its attention pool is removed.
            architecture: The configuration it was made from, with which it can be made again.
            inputs: The sizes of pictures and texts.

        Raises:
            ValueError: if its pictures are not read by a ResNet, or it reads shorter texts.
        """
        super().__init__()
        _check_architecture(architecture)
        if clip.context_length < inputs.tokens:
            raise ValueError(
                f"this CLIP reads {clip.context_length} tokens, not {inputs.tokens}; give less"
            )
        self.clip = clip
        self.clip.visual.attnpool = None
        self.architecture = dict(architecture)
        self.inputs = inputs
        self.train()

    @classmethod
    def make(
        cls, architecture: Mapping[str, Any], inputs: InputConfig | None = None
    ) -> "ClipEncoders":
        """Make encoders with random weights.

        Raises:
            ValueError: if the configuration is of another kind of CLIP.
            ImportError: if open_clip is not installed.
        """
        _check_architecture(architecture)
        return cls(_import_open_clip().CLIP(**architecture), architecture, inputs or InputConfig())

    @property
    def width(self) -> int:
        """Length of the vector of a cell: 2048 of ResNet-50."""
        return int(self.architecture["vision_cfg"]["width"]) * 32

    @property
    def text_width(self) -> int:
        """Length of the vector of a text: 1024 of ResNet-50."""
        return int(self.architecture["embed_dim"])

    @property
    def grid(self) -> int:
        """Rows and columns of cells: a cell is 32 pixels wide."""
        return self.inputs.side // 32

    def train(self, mode: bool = True) -> "ClipEncoders":
        """Set the mode of training, in which the means of batch normalisation stay CLIP's."""
        super().train(mode)
        # Means over the pictures of one batch would make a map depend on its neighbours, and differ
        # from those at test time. The weights of these layers are tuned.
        self.clip.visual.eval()
        return self

    def encode_pictures(
        self, pictures: Float[Tensor, "picture 3 side side"]
    ) -> Float[Tensor, "picture cell width"]:
        """Compute the vectors of the cells of each picture, row by row."""
        visual = self.clip.visual
        found = visual.stem(pictures)
        for stage in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            found = stage(found)
        return found.flatten(2).mT

    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "text width"]:
        """Compute the vector of each text, before it is normalised."""
        tokens = self.tokenise(texts).to(self.clip.positional_embedding.device)
        count = tokens.shape[1]
        # open_clip's own function reads 77 tokens, most of them empty: the mask is causal, so that
        # those after the end change nothing, and cost three quarters of the time.
        states = self.clip.token_embedding(tokens) + self.clip.positional_embedding[:count]
        states = self.clip.transformer(states, attn_mask=self.clip.attn_mask[:count, :count])
        states = self.clip.ln_final(states)
        # The token of the end has the largest number of all.
        last = states[torch.arange(len(tokens)), tokens.argmax(-1)]
        return last @ self.clip.text_projection

    def tokenise(self, texts: Sequence[str]) -> Int[Tensor, "text token"]:
        """Split texts into tokens, of which those that are too many are cut off."""
        return _import_open_clip().tokenize(list(texts), context_length=self.inputs.tokens)

    def read_picture(self, path: Path) -> Float[Tensor, "3 side side"]:
        """Read a picture as the encoder takes it.

        Raises:
            ValueError: if it is no picture.
        """
        return normalise_picture(read_pixels(path), self.inputs.side)


def open_clip_encoders(
    name: str = CLIP_NAME, weights: str | None = CLIP_WEIGHTS, inputs: InputConfig | None = None
) -> ClipEncoders:
    """Open the encoders of a CLIP model with open_clip.

    Args:
        name: A name of open_clip, or a folder with `open_clip_config.json` and the weights.
        weights: A tag of open_clip, which is downloaded, or a file; None for random weights. Of a
            folder, its own are taken.
        inputs: The sizes of pictures and texts.

    Raises:
        ValueError: if there is no such model, or its pictures are not read by a ResNet.
        ImportError: if open_clip is not installed.
    """
    library, inputs = _import_open_clip(), inputs or InputConfig()
    schema = f"local-dir:{name}" if Path(name).is_dir() else name
    # Every library on the way has errors of its own: of names, of files, of the network.
    try:
        architecture = library.get_model_config(schema)
        if architecture is None:
            known = ", ".join(one for one in library.list_models() if one.startswith("RN"))
            raise ValueError(f"{name}: no model of open_clip; give a folder, or one of {known}")
        _check_architecture(architecture)
        if weights is None and schema == name:
            return ClipEncoders.make(architecture, inputs)
        with _be_silent():
            clip = library.create_model(schema, pretrained=weights, weights_only=True)
    except (OSError, RuntimeError, KeyError, TypeError) as failure:
        raise ValueError(
            f"{name}: cannot be opened with weights {weights} ({first_line(failure)}); give a "
            "folder with open_clip_config.json and safetensors, or check your network"
        ) from failure
    return ClipEncoders(clip, architecture, inputs)


def normalise_picture(
    pixels: UInt8[np.ndarray, "height width 3"], side: int
) -> Float[Tensor, "3 side side"]:
    """Squeeze a picture to a square and normalise its colours by those of ImageNet."""
    squeezed = Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR)
    values = torch.from_numpy(np.asarray(squeezed, dtype=np.float32) / 255)
    scaled = (values - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_DEVIATION)
    return scaled.permute(2, 0, 1)


def _check_architecture(architecture: Mapping[str, Any]) -> None:
    """Refuse a CLIP of another kind than that with a ResNet and a plain text transformer."""
    vision, text = architecture.get("vision_cfg", {}), architecture.get("text_cfg", {})
    if not isinstance(vision.get("layers"), list | tuple) or "timm_model_name" in vision:
        raise ValueError(
            "the pictures of this CLIP are not read by a ResNet; give one such as RN50"
        )
    if "hf_model_name" in text or architecture.get("custom_text"):
        raise ValueError("the texts of this CLIP are read by another model; give one such as RN50")


@contextmanager
def _be_silent() -> Iterator[None]:
    """Let nothing be logged: open_clip logs what it raises, and that random weights are random."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def _import_open_clip() -> Any:
    try:
        import open_clip
    except ImportError as missing:
        raise ImportError(f"open_clip is not installed; {EXTRA} installs it") from missing
    return open_clip
