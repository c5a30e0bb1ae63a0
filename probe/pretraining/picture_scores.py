"""Scores of picture towers on files of users: classes, pairs that were held out."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from probe.files import read_text
from probe.pretraining.episodes import autocast
from probe.pretraining.learner import PairLearner
from probe.pretraining.losses import compute_gap
from probe.pretraining.pair_files import PictureTable, Tokenise, number_classes, read_picture
from probe.pretraining.scores import (
    LinearProbeRecipe,
    average_templates,
    classify_by_names,
    compare_grouping,
    compute_recall,
    probe_linearly,
)
from probe.progress import make_bar

DEFAULT_TEMPLATES = ("a photo of a {}.", "a picture of the {}.", "a {} in the scene.")
"""Sentences around a class's name, where the user gives none."""

BATCH = 128
"""Pictures or sentences that are embedded at once."""


@dataclass(frozen=True)
class PictureScorer:
    """Towers, and how pictures and sentences become their inputs."""

    learner: PairLearner
    tokenise: Tokenise
    transform: Callable[[Tensor], Tensor]

    def score_classes(
        self, table: PictureTable, templates: Sequence[str], recipe: LinearProbeRecipe
    ) -> dict[str, Any]:
        """Score pictures with classes: linear probe, zero-shot by names, grouping by k-means.

        Args:
            table: Pictures with classes, some to train the linear probe, some to test.
            templates: Sentences with `{}` for the name of a class.
            recipe: Settings of the linear probe.

        Raises:
            ValueError: as `check_classes` does.
        """
        check_classes(table)
        names, labels = number_classes(table.rows)
        known = torch.tensor([row["split"] == "train" for row in table.rows])
        images = self._embed_pictures(table, "pictures")
        texts = torch.stack(
            [self._embed_texts([form.format(name) for name in names]) for form in templates]
        )
        train, test = (images[known], labels[known]), (images[~known], labels[~known])
        linear = probe_linearly(train, test, recipe)
        named = classify_by_names(test[0], average_templates(texts))
        return {
            "linear_last": linear.last,
            # Chosen on the test pictures, as ProtoCLIP's released code does.
            "linear_best": linear.best,
            "linear_best_epoch": linear.best_epoch,
            "linear_recipe": asdict(recipe),
            "zero_shot": float((named == test[1]).float().mean()),
            "chance": 1 / len(names),
            **compare_grouping(*test),
            "classes": len(names),
            "test_pictures": len(test[0]),
        }

    def score_pairs(self, table: PictureTable) -> dict[str, Any]:
        """Score held-out pairs: retrieval both ways, and the modality gap.

        Rows of the same picture are one picture with several sentences.
        """
        pictures = list(dict.fromkeys(row["filepath"] for row in table.rows))
        firsts = {row["filepath"]: place for place, row in reversed([*enumerate(table.rows)])}
        images = self._embed_pictures(table, "pictures", [firsts[name] for name in pictures])
        texts = self._embed_texts([row["title"] for row in table.rows])
        places = {name: place for place, name in enumerate(pictures)}
        owners = torch.tensor([places[row["filepath"]] for row in table.rows])
        recall = compute_recall(images, texts, owners)
        return {"recall": recall, "gap": float(compute_gap(images, texts)), "pairs": len(texts)}

    @property
    def _device(self) -> torch.device:
        return self.learner.pair_scale.device

    @torch.no_grad()
    def _embed_pictures(
        self, table: PictureTable, name: str, places: Sequence[int] | None = None
    ) -> Float[Tensor, "picture width"]:
        """Embed the pictures of rows, by default of all, on the CPU."""
        rows = [table.rows[place] for place in places] if places is not None else [*table.rows]
        parts = []
        for start in make_bar(range(0, len(rows), BATCH), desc=name, leave=False):
            read = (read_picture(table.find_picture(row)) for row in rows[start : start + BATCH])
            pictures = torch.stack([self.transform(one) for one in read]).to(self._device)
            with autocast(self._device):
                parts.append(self.learner.embed_images(pictures).float().cpu())
        return torch.cat(parts)

    @torch.no_grad()
    def _embed_texts(self, texts: Sequence[str]) -> Float[Tensor, "text width"]:
        parts = []
        for start in range(0, len(texts), BATCH):
            tokens = self.tokenise([*texts[start : start + BATCH]]).to(self._device)
            with autocast(self._device):
                parts.append(self.learner.embed_texts(tokens).float().cpu())
        return torch.cat(parts)


def check_classes(table: PictureTable) -> None:
    """Check that pictures with classes can be scored.

    Raises:
        ValueError: if there is nothing to train or to test on, or a single class.
    """
    if len(names := sorted({row["label"] for row in table.rows})) < 2:
        raise ValueError(f"{table.path}: one class, {names[0]!r}; give pictures of two or more")
    splits = {row["split"] for row in table.rows}
    if lacking := {"train", "test"} - splits:
        raise ValueError(f"{table.path}: no row of split {min(lacking)}; give some of both")


def read_templates(path: Any) -> tuple[str, ...]:
    """Read sentences around a class's name, one a line.

    Raises:
        ValueError: if there is none, or one has no single `{}`.
    """
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    for line in lines:
        if line.count("{}") != 1 or line.count("{") != 1 or line.count("}") != 1:
            raise ValueError(f"{path}: {line!r} has not one {{}} for the name of a class; give one")
    if not lines:
        raise ValueError(f"{path}: no template; give sentences with {{}} for the name of a class")
    return tuple(lines)
