"""The network of response maps: projections, and a conditional referring module for each stage.

Own code after PCNet (NeurIPS 2024): its equations, and the sizes and shared projections of the
released code. It reads vectors of cells and of texts, from whatever encoder they come.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import log
from typing import TypeAlias, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

FIRST_SCALE = 1 / 0.07
"""The factor of cosines when training begins, as in CLIP; it is learned."""


@dataclass(frozen=True)
class NetworkConfig:
    """The size of a network, and how strongly its texts and cells change each other.

    The weights say which of the published forms it is; 0 leaves a step out.
    """

    channels: int = 1024
    """Width to which cells and texts are projected."""

    stages: int = 3
    """Number of referring modules, and of cues."""

    cue_residual: float = 1.0
    """Weight of the cue itself in the cue that has seen the picture. The paper adds it; the
    released code puts the attended vector in its place (0)."""

    sentence_update: float = 1.0
    """Weight of what the sentence reads in the cues; 0 is a network without cues."""

    cell_update: float = 1.0
    """Weight of what cells read in the sentences."""

    look_again: float = 0.0
    """Weight of what the sentence reads in the picture's cells just before the map is made. Only
    the released code has this step (0.1)."""

    def __post_init__(self) -> None:
        for name in ("channels", "stages"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")


@dataclass(frozen=True, eq=False)
class ReferringBatch:
    """Pictures with one sentence each, and the sentence's cues, as vectors of some encoder."""

    cells: Float[Tensor, "picture cell width"]
    sentences: Float[Tensor, "picture text"]
    cues: Float[Tensor, "picture stage text"]
    """One cue for each stage, in their order; the last is usually the whole sentence."""

    def __len__(self) -> int:
        return len(self.cells)


@dataclass(frozen=True, eq=False)
class Bank:
    """Texts of other pictures, which take the place of a batch's other pictures at test time.

    In training, a sentence reads its cue in competition with those of all other pictures of the
    batch, and cells read all sentences. A single picture has no others, so some are stored.
    """

    cues: Float[Tensor, "stage other channel"]
    """Cues that have seen their own pictures, by stage."""

    sentences: Float[Tensor, "stage other channel"]
    """Sentences that have read their cues, by stage."""

    def __len__(self) -> int:
        return self.cues.shape[1]

    @classmethod
    def empty(cls, config: NetworkConfig) -> "Bank":
        """Make a bank without texts: nothing competes, as in the released code at test time."""
        nothing = torch.zeros(config.stages, 0, config.channels)
        return cls(nothing, nothing)


Company: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Gives for each picture the texts that it reads, of those of the batch and the stored ones."""


@dataclass(frozen=True, eq=False)
class _Stage:
    """Result of one stage: what the maps are made of, and what a bank stores."""

    before: Float[Tensor, "picture cell channel"]
    """Cells as they entered."""

    cells: Float[Tensor, "picture cell channel"]
    """Cells that have read the sentences."""

    cues: Float[Tensor, "picture channel"]
    sentences: Float[Tensor, "picture channel"]


class CellProjection(nn.Module):
    """A linear layer on each cell, normalised over the cells of its picture."""

    def __init__(self, channels: int) -> None:
        """Make it with random weights."""
        super().__init__()
        self.linear = nn.Linear(channels, channels)
        # Over the cells of one picture: statistics of a batch would tie its pictures together.
        self.norm = nn.InstanceNorm1d(channels, affine=True)

    def forward(
        self, cells: Float[Tensor, "picture cell channel"]
    ) -> Float[Tensor, "picture cell channel"]:
        """Project cells."""
        return self.norm(self.linear(cells).mT).mT


class ReferringModule(nn.Module):
    """Conditional referring module of one stage: three attentions that share their projections."""

    def __init__(self, channels: int) -> None:
        """Make it with random weights."""
        super().__init__()
        names = ("query", "key", "value")
        self.cell = nn.ModuleDict(
            {name: nn.Sequential(CellProjection(channels), nn.ReLU()) for name in names}
        )
        self.text = nn.ModuleDict(
            {name: nn.Sequential(nn.Linear(channels, channels), nn.ReLU()) for name in names}
        )
        self.cell_out = CellProjection(channels)
        self.text_out = nn.Linear(channels, channels)

    def look(
        self,
        texts: Float[Tensor, "picture text channel"],
        cells: Float[Tensor, "picture cell channel"],
    ) -> Float[Tensor, "picture text channel"]:
        """Let texts read the cells of a picture."""
        read = attend(self.text["query"](texts), self.cell["key"](cells), self.cell["value"](cells))
        return self.text_out(read)

    def hear(
        self,
        sentences: Float[Tensor, "picture channel"],
        cues: Float[Tensor, "picture text channel"],
    ) -> Float[Tensor, "picture channel"]:
        """Let each sentence read cues, which compete for it."""
        read = attend(
            self.text["query"](sentences.unsqueeze(1)),
            self.text["key"](cues),
            self.text["value"](cues),
        )
        return self.text_out(read).squeeze(1)

    def answer(
        self,
        cells: Float[Tensor, "picture cell channel"],
        texts: Float[Tensor, "picture text channel"],
    ) -> Float[Tensor, "picture cell channel"]:
        """Let cells read sentences, which compete for them."""
        read = attend(self.cell["query"](cells), self.text["key"](texts), self.text["value"](texts))
        return self.cell_out(read)


class ResponseNetwork(nn.Module):
    """A network that makes response maps stage by stage, cue by cue."""

    def __init__(self, config: NetworkConfig, width: int, text_width: int) -> None:
        """Make a network with random weights.

        Args:
            config: Its size and its form.
            width: Length of the vector of a cell.
            text_width: Length of the vector of a text.
        """
        super().__init__()
        self.config = config
        self.project_cells = nn.Linear(width, config.channels)
        self.project_text = nn.Linear(text_width, config.channels)
        self.modules_by_stage = nn.ModuleList(
            ReferringModule(config.channels) for _ in range(config.stages)
        )
        # Learned as a logarithm, so that a step changes it by a share and never makes it negative.
        self.log_scale = nn.Parameter(torch.tensor(log(FIRST_SCALE)))

    def forward(self, batch: ReferringBatch) -> Float[Tensor, "stage picture text cell"]:
        """Score every cell of every picture for every sentence of the batch, any sign.

        Each sentence and each picture read the texts of the whole batch.
        """
        count, nothing = len(batch), Bank.empty(self.config)
        found = [
            self._score(module, stage, stage.sentences.expand(count, -1, -1))
            for module, stage in self._run(batch, _share_all, nothing)
        ]
        return torch.stack(found)

    def respond(self, batch: ReferringBatch, bank: Bank) -> Float[Tensor, "stage picture cell"]:
        """Score every cell of every picture for its own sentence, any sign.

        Pictures do not influence each other: the stored texts take the place of other pictures'.
        """
        found = [
            self._score(module, stage, stage.sentences.unsqueeze(1)).squeeze(1)
            for module, stage in self._run(batch, _add_stored, bank)
        ]
        return torch.stack(found)

    # Without a graph: a bank is data of a file from here on.
    @torch.no_grad()
    def fill_bank(self, batch: ReferringBatch) -> Bank:
        """Store the texts of a batch as they are read by others in training."""
        ran = self._run(batch, _share_all, Bank.empty(self.config))
        stages = [stage for _, stage in ran]
        return Bank(
            torch.stack([stage.cues for stage in stages]),
            torch.stack([stage.sentences for stage in stages]),
        )

    def _run(
        self, batch: ReferringBatch, company: Company, bank: Bank
    ) -> Iterator[tuple[ReferringModule, _Stage]]:
        """Run stage by stage; yield each module with what came out of it."""
        config = self.config
        cells, sentences = self.project_cells(batch.cells), self.project_text(batch.sentences)
        for number in range(config.stages):
            module = cast(ReferringModule, self.modules_by_stage[number])
            # Unit vectors at the start of each stage, so that its updates have a known weight.
            before, sentences = normalize(cells, dim=-1), normalize(sentences, dim=-1)
            cue = normalize(self.project_text(batch.cues[:, number]), dim=-1)
            seen = module.look(cue.unsqueeze(1), before).squeeze(1) + config.cue_residual * cue
            heard = module.hear(sentences, company(seen, bank.cues[number]))
            sentences = sentences + config.sentence_update * heard
            read = module.answer(before, company(sentences, bank.sentences[number]))
            cells = before + config.cell_update * read
            yield module, _Stage(before, cells, seen, sentences)

    def _score(
        self,
        module: ReferringModule,
        stage: _Stage,
        texts: Float[Tensor, "picture text channel"],
    ) -> Float[Tensor, "picture text cell"]:
        """Score the cells of each picture for some texts."""
        # Left out where it weighs nothing: it is a third of the work.
        if self.config.look_again:
            texts = texts + self.config.look_again * module.look(texts, stage.before)
        return self.log_scale.exp() * texts @ stage.cells.mT


def attend(
    queries: Float[Tensor, "picture query channel"],
    keys: Float[Tensor, "picture key channel"],
    values: Float[Tensor, "picture key channel"],
) -> Float[Tensor, "picture query channel"]:
    """Read values by the softmax of scaled dot products, one head."""
    # Keys are transposed. The released code reshapes them in training, which mixes the channels of
    # different texts; that is a fault, and is not repeated here.
    return (queries @ keys.mT / queries.shape[-1] ** 0.5).softmax(-1) @ values


def _share_all(texts: Float[Tensor, "picture channel"], _: Tensor | None) -> Tensor:
    """Give every picture the texts of the whole batch, its own among them."""
    return texts.expand(len(texts), -1, -1)


def _add_stored(
    texts: Float[Tensor, "picture channel"], stored: Float[Tensor, "other channel"]
) -> Float[Tensor, "picture all channel"]:
    """Give every picture its own text and the stored ones."""
    # The bank is kept on the CPU, wherever the network is.
    others = stored.to(texts).expand(len(texts), -1, -1)
    return torch.cat([texts.unsqueeze(1), others], dim=1)
