"""The whole model of PCNet: CLIP's encoders and the network of response maps, tuned together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import interpolate

from probe.engine.opening import find_device
from probe.files import FileFormat, read_tensors, write_tensors
from probe.trained.referring.encoders import ClipEncoders, InputConfig, normalise_picture
from probe.trained.referring.things import PictureBatch
from probe.trained.responses.losses import StageMaps, normalise_maps
from probe.trained.responses.network import Bank, NetworkConfig, ReferringBatch, ResponseNetwork
from probe.trained.responses.presets import ResponseConfig

REFERRING_FORMAT = FileFormat(
    "grounding-probe/referring-maps", 1, "response maps of pictures", "probe responses train"
)


class ReferringModel(nn.Module):
    """The encoders of pictures and texts, and the network that makes maps of their vectors."""

    def __init__(self, encoders: ClipEncoders, config: NetworkConfig) -> None:
        """Put a network with random weights on top of encoders."""
        super().__init__()
        self.encoders = encoders
        self.network = ResponseNetwork(config, encoders.width, encoders.text_width)

    @property
    def device(self) -> torch.device:
        """The device that it computes on."""
        return self.network.log_scale.device

    def read_batch(self, batch: PictureBatch) -> tuple[ReferringBatch, ReferringBatch]:
        """Compute the vectors of pictures with their own sentences, and with the further ones."""
        texts = self.read_texts(
            [*batch.sentences, *batch.other_sentences],
            [*batch.cues, *batch.other_cues],
        )
        cells, half = self.encoders.encode_pictures(batch.pictures), len(batch.sentences)
        sentences, cues = texts
        return (
            ReferringBatch(cells, sentences[:half], cues[:half]),
            ReferringBatch(cells, sentences[half:], cues[half:]),
        )

    def read_texts(
        self, sentences: Sequence[str], cues: Sequence[Sequence[str]]
    ) -> tuple[Float[Tensor, "picture text"], Float[Tensor, "picture stage text"]]:
        """Compute the vectors of sentences and of the cues of each."""
        # The last cue is the sentence, and things share phrases: each text is read once.
        texts = list(dict.fromkeys([*sentences, *(cue for some in cues for cue in some)]))
        place = {text: number for number, text in enumerate(texts)}
        vectors = self.encoders.encode_texts(texts)
        return (
            vectors[[place[one] for one in sentences]],
            torch.stack([vectors[[place[cue] for cue in some]] for some in cues]),
        )


@dataclass(frozen=True, eq=False)
class EnlargedMaps(StageMaps):
    """Maps whose own form is enlarged to the size of proposals, which are finer than cells."""

    proposals: Float[Tensor, "picture proposal pixel"] | None = None
    others: Callable[[], Tensor] | None = None
    """Computes the maps for the further sentences, at the size of proposals."""

    side: int = 32
    """Rows and columns of the proposals."""

    @cached_property
    def own(self) -> Float[Tensor, "stage picture cell"]:
        """The map of each picture for its own sentence, 0 to 1, at the size of proposals."""
        scores = torch.diagonal(self.scores, dim1=1, dim2=2).movedim(-1, 1)
        # Twice: what is negative must not be spread, and the maximum of 1 is lost between cells.
        return normalise_maps(enlarge_maps(normalise_maps(scores), self.side))


def compute_losses(
    model: ReferringModel, batch: PictureBatch, config: ResponseConfig, pair: int
) -> dict[str, Float[Tensor, ""]]:
    """Compute each term of the loss, times its weight.

    Args:
        model: The model.
        batch: The batch.
        config: The terms.
        pair: The earlier of the two stages that the released code compares.
    """
    # One pass of the encoders for both sentences: they are most of the cost.
    own, other = model.read_batch(batch)
    side = int(batch.proposals.shape[-1] ** 0.5)

    def score_others() -> Tensor:
        scores = torch.diagonal(model.network(other), dim1=1, dim2=2).movedim(-1, 1)
        return enlarge_maps(normalise_maps(scores), side)

    maps = EnlargedMaps(
        model.network(own), batch.proposals, score_others, batch.has_other, pair=pair, side=side
    )
    return {term.loss.__name__: term.weight * term.loss(maps) for term in config.terms}


def enlarge_maps(
    maps: Float[Tensor, "*batch cell"], size: int | tuple[int, int]
) -> Float[Tensor, "*batch pixel"]:
    """Enlarge square maps bilinearly to a size: rows and columns, or both alike."""
    side = int(maps.shape[-1] ** 0.5)
    size = (size, size) if isinstance(size, int) else size
    flat = maps.reshape(-1, 1, side, side)
    enlarged = interpolate(flat, size, mode="bilinear", align_corners=False)
    return enlarged.reshape(*maps.shape[:-1], -1)


@dataclass(frozen=True, eq=False)
class ReferringMaps:
    """A trained model with the texts that compete at test time, and what it was trained on."""

    model: ReferringModel
    bank: Bank
    about: Mapping[str, Any]
    """Data, choices and curve of the training, in plain values."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "about", MappingProxyType(dict(self.about)))

    @torch.no_grad()
    def respond(
        self,
        pixels: UInt8[Any, "height width 3"],
        sentences: Sequence[str],
        cues: Sequence[Sequence[str]],
        bank: Bank | None = None,
    ) -> Float[Tensor, "sentence stage cell"]:
        """Compute the maps of a picture for sentences, stage by stage, 0 to 1.

        Args:
            pixels: The picture.
            sentences: The sentences; they do not compete with each other.
            cues: The cues of each sentence, one a stage (`DescribedThing.fit_cues`).
            bank: Texts that compete; None for those that were stored after training.
        """
        model, bank = self.model, self.bank if bank is None else bank
        picture = normalise_picture(pixels, model.encoders.inputs.side).to(model.device)
        cells = model.encoders.encode_pictures(picture[None])
        vectors = model.read_texts(sentences, cues)
        batch = ReferringBatch(cells.expand(len(sentences), -1, -1), *vectors)
        return normalise_maps(model.network.respond(batch, bank)).movedim(0, 1).cpu()

    def save(self, path: str | Path) -> None:
        """Write everything as safetensors."""
        tensors = {f"model.{name}": one for name, one in self.model.state_dict().items()}
        bank = {"bank.cues": self.bank.cues, "bank.sentences": self.bank.sentences}
        record = {
            "clip": self.model.encoders.architecture,
            "inputs": asdict(self.model.encoders.inputs),
            "network": asdict(self.model.network.config),
            "about": dict(self.about),
        }
        write_tensors(path, {**tensors, **bank}, {**REFERRING_FORMAT.header, **record})

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> "ReferringMaps":
        """Read what `save` wrote.

        Raises:
            ValueError: if the file is missing or holds something else, or there is no such device.
        """
        target = find_device(device)
        tensors, about = read_tensors(path)
        with REFERRING_FORMAT.reading(path):
            record = REFERRING_FORMAT.check(path, about)
            encoders = ClipEncoders.make(record["clip"], InputConfig(**record["inputs"]))
            model = ReferringModel(encoders, NetworkConfig(**record["network"]))
            model.load_state_dict(
                {
                    name.removeprefix("model."): one
                    for name, one in tensors.items()
                    if name.startswith("model.")
                }
            )
            model.eval().requires_grad_(False).to(target)
            bank = Bank(tensors["bank.cues"], tensors["bank.sentences"])
            return cls(model, bank, record["about"])
