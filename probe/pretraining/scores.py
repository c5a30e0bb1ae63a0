"""Scores of what was learned from pairs: classes read from embeddings, names, and neighbours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize


@dataclass(frozen=True)
class LinearProbeRecipe:
    """Settings of a linear probe; the defaults are those of ProtoCLIP, but it shuffles."""

    rate: float = 0.1
    """Highest learning rate of SGD; it falls in half a cosine to 0."""
    momentum: float = 0.9
    decay: float = 1e-6
    batch: int = 1024
    epochs: int = 100
    standardise: bool = False
    """Bring each dimension to mean 0 and deviation 1 over the training embeddings."""
    seed: int = 0
    """Seed of the order, in which the released code does not shuffle."""


@dataclass(frozen=True)
class LinearProbe:
    """Accuracy of a linear probe on test embeddings, from 0 to 1."""

    last: float
    """After the last epoch: this is the result."""
    best: float
    """After the epoch that is best on the test set itself, which is what ProtoCLIP reports. It
    looks at the test set for its choice, and is never below `last`."""
    best_epoch: int
    """That epoch, counted from 1; the first one if several are as good."""
    right: Bool[Tensor, " item"]
    """True for each test item that is right after the last epoch."""


def probe_linearly(
    train: tuple[Float[Tensor, "item width"], Int[Tensor, " item"]],
    test: tuple[Float[Tensor, "other width"], Int[Tensor, " other"]],
    recipe: LinearProbeRecipe | None = None,
) -> LinearProbe:
    """Train a linear classifier on fixed embeddings, and score it.

    Args:
        train: Embeddings, not normalised, and their classes from 0.
        test: Embeddings and classes to score on.
        recipe: Settings.

    Returns:
        Accuracies after the last and after the best epoch.
    """
    recipe = recipe or LinearProbeRecipe()
    (features, labels), (others, truth) = train, test
    features, others = features.float(), others.float()
    if recipe.standardise:
        # A dimension that never changes says nothing; it must not be divided by zero.
        mean, deviation = features.mean(0), features.std(0).clamp_min(1e-6)
        features, others = (features - mean) / deviation, (others - mean) / deviation
    classes = int(max(labels.max(), truth.max())) + 1
    head = nn.Linear(features.shape[1], classes).to(features.device)
    generator = torch.Generator().manual_seed(recipe.seed)
    nn.init.normal_(head.weight, std=0.01, generator=generator)
    nn.init.zeros_(head.bias)
    optimiser = torch.optim.SGD(
        head.parameters(), recipe.rate, momentum=recipe.momentum, weight_decay=recipe.decay
    )
    found: list[Tensor] = []
    for epoch in range(recipe.epochs):
        rate = recipe.rate * (1 + math.cos(math.pi * epoch / recipe.epochs)) / 2
        optimiser.param_groups[0]["lr"] = rate
        for places in torch.randperm(len(features), generator=generator).split(recipe.batch):
            loss = cross_entropy(head(features[places]), labels[places])
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
        with torch.no_grad():
            found.append(head(others).argmax(-1) == truth)
    shares = [float(right.float().mean()) for right in found]
    best = max(shares)
    return LinearProbe(shares[-1], best, shares.index(best) + 1, found[-1])


def average_templates(
    texts: Float[Tensor, "template name width"],
) -> Float[Tensor, "name width"]:
    """Average the embeddings of each class's name in several sentences.

    Source: CLIP (arXiv 2103.00020), section 3.1.4: the mean of unit vectors, of unit length again.
    """
    return normalize(normalize(texts, dim=-1).mean(dim=0), dim=-1)


def classify_by_names(
    images: Float[Tensor, "image width"], names: Float[Tensor, "name width"]
) -> Int[Tensor, " image"]:
    """Return for each picture the class whose name's embedding has the largest cosine."""
    return (normalize(images, dim=-1) @ normalize(names, dim=-1).T).argmax(dim=-1)


def compute_recall(
    images: Float[Tensor, "image width"],
    texts: Float[Tensor, "text width"],
    owners: Int[Tensor, " text"],
    ranks: Sequence[int] = (1, 5, 10),
) -> dict[str, float]:
    """Compute how often the right sentence, or the right picture, is among the nearest ones.

    Args:
        images: Embeddings of pictures.
        texts: Embeddings of sentences.
        owners: Picture of each sentence; a picture may have several, of which one is enough.
        ranks: Numbers of neighbours that are looked at.

    Returns:
        Shares from 0 to 1, named `text@5` (sentences found from pictures) and `image@5`, and
        `mean`, the mean of all.
    """
    cosines = normalize(images, dim=-1) @ normalize(texts, dim=-1).T
    own = owners[None] == torch.arange(len(images), device=owners.device)[:, None]
    # The rank of the best right one is the number of wrong ones above it. One of the same cosine
    # counts as above: embeddings that are all equal must not find everything.
    first_text = _rank_best(cosines, own)
    first_image = _rank_best(cosines.T, own.T)
    found = {
        f"{kind}@{rank}": float((first < rank).float().mean())
        for kind, first in (("text", first_text), ("image", first_image))
        for rank in ranks
    }
    return {**found, "mean": sum(found.values()) / len(found)}


def _rank_best(cosines: Tensor, own: Tensor) -> Int[Tensor, " item"]:
    best = cosines.masked_fill(~own, -math.inf).amax(dim=-1, keepdim=True)
    return ((cosines >= best) & ~own).sum(dim=-1)


def compare_grouping(
    features: Float[Tensor, "item width"], labels: Int[Tensor, " item"], *, seed: int = 0
) -> dict[str, float]:
    """Compare k-means clusters of unit embeddings with the true classes.

    Args:
        features: Embeddings; brought to unit length first.
        labels: Their classes; there are as many clusters as classes.
        seed: Seed of the starts.

    Returns:
        `ari` and `ami`: the Rand index and the mutual information, both adjusted for chance. 1 if
        clusters are the classes, about 0 if they have nothing to do with them.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    unit = normalize(features.float(), dim=-1).cpu().numpy()
    truth = labels.cpu().numpy()
    restarts: object = 10  # its types allow only the word "auto"
    search = KMeans(len(set(truth.tolist())), n_init=restarts, random_state=seed)  # pyright: ignore
    found = search.fit_predict(unit)
    return {
        "ari": float(adjusted_rand_score(truth, found)),
        "ami": float(adjusted_mutual_info_score(truth, found)),
    }
