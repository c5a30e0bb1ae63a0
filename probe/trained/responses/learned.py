"""Result of training: the network, its stored bank, and what both belong to; as one file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from probe.engine.model import VideoLM
from probe.engine.view import View
from probe.files import FileFormat, read_tensors, write_tensors
from probe.plain import from_plain, to_plain
from probe.trained.responses.network import Bank, NetworkConfig, ReferringBatch, ResponseNetwork
from probe.trained.responses.pictures import Scaling
from probe.trained.responses.states import read_states
from probe.trained.responses.texts import CueRule, TextRule, fit_cues

RESPONSES_FORMAT = FileFormat(
    "grounding-probe/responses", 1, "response maps", "probe responses train"
)


@dataclass(frozen=True, eq=False, repr=False)
class Learned:
    """A trained network with all that it takes to read a video with it.

    Raises:
        ValueError: if one of its tensors is not finite, or not as large as the others say.
    """

    network: ResponseNetwork
    bank: Bank
    cells: Scaling
    texts: Scaling
    layer: int
    """The decoder layer that the states enter."""

    cue_rule: CueRule
    text_rule: TextRule
    about: Mapping[str, Any]
    """Model, data, choices and curve of the training, in plain values."""

    def __post_init__(self) -> None:
        self._check_sizes()
        for name, one in self._tensors().items():
            # Maps of such numbers would be zeros, or point somewhere, and nobody would know why.
            if not bool(one.isfinite().all()):
                raise ValueError(f"{name} of response maps is not finite; train them again")
        object.__setattr__(self, "about", MappingProxyType(dict(self.about)))

    def _check_sizes(self) -> None:
        network, others = self.network, len(self.bank)
        bank = (network.config.stages, others, network.config.channels)
        cells, texts = ((one.in_features,) for one in (network.project_cells, network.project_text))
        found = self._tensors()
        # Those of the network are its own; a layer that counts from the end would be another one.
        for name, size in {
            **dict.fromkeys(("bank.cues", "bank.sentences"), bank),
            **dict.fromkeys(("cells.centre", "cells.spread"), cells),
            **dict.fromkeys(("texts.centre", "texts.spread"), texts),
        }.items():
            if tuple(found[name].shape) != size or not found[name].is_floating_point():
                raise ValueError(f"{name} of response maps is not of {size} decimal numbers")
        if self.layer < 0 or min(float(one.spread.min()) for one in (self.cells, self.texts)) <= 0:
            raise ValueError("response maps have a layer below 0, or a spread that is not above 0")

    def __repr__(self) -> str:
        stages, width = self.network.config.stages, len(self.cells.centre)
        return f"Learned({stages} stages, states of {width} numbers entering layer {self.layer})"

    @property
    def content(self) -> str:
        """A hash of all tensors and of what is said about them."""
        digest = hashlib.sha256(json.dumps(self._record(), sort_keys=True).encode())
        for name, tensor in sorted(self._tensors().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def check(self, reader: VideoLM | View) -> None:
        """Refuse a model, or a view of one, other than the one whose states were learned on.

        The only check of this: whatever reads a video for these maps goes through it. Weights are
        read once for each open model, and again when they were changed in memory.

        Raises:
            ValueError: if its fingerprint is another.
        """
        known, found = str(self.about["fingerprint"]), reader.known_fingerprint.read()
        if known != found:
            name = reader.model if isinstance(reader, View) else reader.name
            raise ValueError(
                f"response maps learned on {self.about['model']['name']!r} (fingerprint "
                f"{known[:8]}) do not fit {name!r} ({found[:8]}), with other weights, files "
                f"or number format; open the model that they were learned on, or train some for "
                f"this one: probe responses train"
            )

    def prepare(self, view: View, sentence: str) -> ReferringBatch:
        """Read a video's frames, a sentence and its cues as the network takes them.

        Raises:
            ValueError: if the view is of another model than these maps were learned on.
        """
        self.check(view)
        stages = self.network.config.stages
        cues = fit_cues(self.cue_rule(sentence), sentence, stages)
        texts = self.texts.apply(self.text_rule(view, (sentence, *cues)))
        cells = self.cells.apply(read_states(view, self.layer))
        frames = len(cells)
        return ReferringBatch(
            cells, texts[0].expand(frames, -1), texts[1:].expand(frames, stages, -1)
        )

    def _tensors(self) -> dict[str, Tensor]:
        return {
            **{f"network.{name}": one for name, one in self.network.state_dict().items()},
            "bank.cues": self.bank.cues,
            "bank.sentences": self.bank.sentences,
            "cells.centre": self.cells.centre,
            "cells.spread": self.cells.spread,
            "texts.centre": self.texts.centre,
            "texts.spread": self.texts.spread,
        }

    def _record(self) -> dict[str, Any]:
        return {
            "network": asdict(self.network.config),
            "layer": self.layer,
            "cues": to_plain(self.cue_rule),
            "text": to_plain(self.text_rule),
            "about": dict(self.about),
        }

    def save(self, path: str | Path) -> None:
        """Write everything as safetensors."""
        write_tensors(path, self._tensors(), {**RESPONSES_FORMAT.header, **self._record()})

    @classmethod
    def load(cls, path: str | Path) -> "Learned":
        """Read what `save` wrote.

        Raises:
            ValueError: if the file is missing, or has no response maps.
        """
        tensors, about = read_tensors(path)
        with RESPONSES_FORMAT.reading(path):
            record = RESPONSES_FORMAT.check(path, about)
            config = _read_config(record["network"])
            cells, texts = (
                Scaling(tensors[f"{name}.centre"], tensors[f"{name}.spread"])
                for name in ("cells", "texts")
            )
            network = ResponseNetwork(config, len(cells.centre), len(texts.centre))
            prefix = "network."
            # Strict: a file that lacks a weight would leave a random one in its place.
            network.load_state_dict(
                {
                    name.removeprefix(prefix): one
                    for name, one in tensors.items()
                    if name.startswith(prefix)
                }
            )
            rules = from_plain(record["cues"]), from_plain(record["text"])
            if not all(map(callable, rules)):
                raise ValueError("its cues or its texts are no rule")
            return cls(
                network.eval().requires_grad_(False),
                Bank(tensors["bank.cues"], tensors["bank.sentences"]),
                cells,
                texts,
                int(record["layer"]),
                *rules,
                _read_about(record["about"]),
            )

    @torch.no_grad()
    def score(self, view: View, sentence: str) -> Float[Tensor, "stage frame cell"]:
        """Score all cells of a video for a sentence, stage by stage, any sign."""
        return self.network.respond(self.prepare(view, sentence), self.bank)


def _read_config(record: Mapping[str, Any]) -> NetworkConfig:
    # Every entry by name, so that one that is missing is not taken for the usual value.
    weights = ("cue_residual", "sentence_update", "cell_update", "look_again")
    channels, stages = int(record["channels"]), int(record["stages"])
    return NetworkConfig(channels, stages, **{name: float(record[name]) for name in weights})


def _read_about(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is known of a training, if it names its model."""
    known = record["model"]["name"], record["fingerprint"], record["data"]
    if not all(isinstance(one, str) for one in known) or not isinstance(record["videos"], int):
        raise ValueError("it does not say by names which model and data it is of")
    return record
