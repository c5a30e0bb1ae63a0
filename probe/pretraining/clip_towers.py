"""Towers of open_clip, untrained or from a file, with their tokens and transforms of pictures."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from probe.files import write_tensors
from probe.pretraining.learner import PairLearner, Towers
from probe.pretraining.pair_files import Tokenise
from probe.spelling import explain_unknown

SMALLEST_CROP = 0.5
"""Smallest share of a picture's area that is kept in augmentation."""

RARE = 0.2
"""Share of pictures whose colours are changed, that lose their colours, and that are blurred."""


@dataclass(frozen=True)
class ClipTowers:
    """Towers of a name of open_clip, and the inputs that they take."""

    name: str
    towers: Towers
    tokenise: Tokenise
    side: int
    """Side of a picture, in pixels."""
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


def make_clip_towers(name: str, seed: int) -> ClipTowers:
    """Make untrained towers by the name of one of open_clip's models.

    Args:
        name: Name such as RN50; the text tower is that of the same model.
        seed: Seed of the weights.

    Raises:
        ImportError: if open_clip is not installed.
        ValueError: if it has no model of this name, or one whose parts would be downloaded.
    """
    try:
        import open_clip
    except ImportError as failure:
        raise ImportError(
            "towers need open_clip; install it with: pip install 'grounding-probe[pretraining]'"
        ) from failure
    names = open_clip.list_models()
    if name not in names:
        raise ValueError(explain_unknown("image tower", name, names))
    config: Any = open_clip.get_model_config(name)
    if "hf_model_name" in config["text_cfg"]:
        # Its text tower and tokenizer are those of a checkpoint on a hub.
        raise ValueError(f"{name}: its text tower would be downloaded; give another image tower")
    torch.manual_seed(seed)
    with _without_warnings():
        # With a text tower that is one module, whose parameters can be told from the picture's.
        model: Any = open_clip.create_model(name, load_weights=False, force_custom_text=True)
    side = model.visual.image_size
    tokenise: Any = open_clip.get_tokenizer(name)
    return ClipTowers(
        name,
        Towers(model.visual, model.text, config["embed_dim"]),
        tokenise,
        side if isinstance(side, int) else side[0],
        open_clip.OPENAI_DATASET_MEAN,
        open_clip.OPENAI_DATASET_STD,
    )


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep open_clip from warning that weights are random, which is what is wanted."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def make_augmentation(clip: ClipTowers) -> Callable[[Tensor], Tensor]:
    """Make ProtoCLIP's light augmentation: a crop, a flip, and now and then other colours."""
    from torchvision.transforms import v2

    # The strengths of jitter and blur are not known; these are SimCLR's, the jitter halved.
    return v2.Compose(
        [
            v2.RandomResizedCrop(clip.side, scale=(SMALLEST_CROP, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], RARE),
            v2.RandomGrayscale(RARE),
            v2.RandomApply([v2.GaussianBlur(_choose_kernel(clip.side), (0.1, 2.0))], RARE),
            *_normalise(clip),
        ]
    )


def make_transform(clip: ClipTowers) -> Callable[[Tensor], Tensor]:
    """Make the transform of pictures that are scored: shorter side to size, middle cut out."""
    from torchvision.transforms import v2

    bicubic = v2.InterpolationMode.BICUBIC
    return v2.Compose(
        [
            v2.Resize(clip.side, interpolation=bicubic, antialias=True),
            v2.CenterCrop(clip.side),
            *_normalise(clip),
        ]
    )


def _normalise(clip: ClipTowers) -> list[Any]:
    from torchvision.transforms import v2

    return [v2.ToDtype(torch.float32, scale=True), v2.Normalize(clip.mean, clip.deviation)]


def _choose_kernel(side: int) -> int:
    """Return an odd width of about a tenth of the side."""
    return 2 * (side // 20) + 1


def save_clip_weights(path: Path, clip: ClipTowers, learner: PairLearner) -> None:
    """Write the towers as a checkpoint that `open_clip.create_model(name, pretrained=path)` opens.

    Heads are left out: they served learning only.
    """
    towers = learner.towers
    text = {**towers.text.state_dict()}
    image = {f"visual.{key}": value for key, value in towers.image.state_dict().items()}
    # open_clip's plain class has the parts of the text tower without a common prefix.
    write_tensors(
        path,
        {**image, **text, "logit_scale": learner.pair_scale.detach()},
        {"open_clip": clip.name},
    )
