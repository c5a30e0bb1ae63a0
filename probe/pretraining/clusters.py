"""K-means of an episode's features, and the prototypes that students are compared with."""

import importlib.util
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from probe.pretraining.losses import compute_targets, translate_back
from probe.pretraining.recipe import PairRecipe

FAISS_FROM = 4_000_000
"""Points times clusters from which faiss is used if it is installed. As published, 200,000 points
and 20,000 clusters are 1e14 operations an episode: seconds on a GPU, far longer on a CPU."""


@dataclass(frozen=True)
class Clusters:
    """Clusters of points: which each belongs to, and their centroids."""

    labels: Int[Tensor, " point"]
    centroids: Float[Tensor, "cluster width"]
    """Means of the members, which are not brought to unit length."""


@dataclass(frozen=True)
class PrototypeTask:
    """Prototypes that students of one side are compared with, and each pair's right one."""

    labels: Int[Tensor, " pair"]
    prototypes: Float[Tensor, "cluster width"]
    centroids: Float[Tensor, "cluster other"]
    """Centroids in the space in which the clusters were found, from which targets are computed."""
    temperature: float
    weight: float

    def compute_targets(self, places: Int[Tensor, " batch"]) -> Float[Tensor, "batch cluster"]:
        """Compute the targets of some of the episode's pairs."""
        return compute_targets(self.labels[places], self.centroids, self.temperature)

    def to(self, device: torch.device) -> "PrototypeTask":
        """Return a copy on a device."""
        return replace(
            self,
            labels=self.labels.to(device),
            prototypes=self.prototypes.to(device),
            centroids=self.centroids.to(device),
        )


@dataclass(frozen=True)
class EpisodeTasks:
    """Tasks of an episode for each side; none in episodes that learn from pairs alone."""

    images: tuple[PrototypeTask, ...] = ()
    texts: tuple[PrototypeTask, ...] = ()

    def to(self, device: torch.device) -> "EpisodeTasks":
        """Return a copy on a device."""
        sides = (tuple(task.to(device) for task in side) for side in (self.images, self.texts))
        return EpisodeTasks(*sides)


def find_clusters(points: Float[Tensor, "point width"], recipe: PairRecipe, seed: int) -> Clusters:
    """Find clusters by k-means with Euclidean distances.

    Args:
        points: The points.
        recipe: Number of clusters, iterations and restarts.
        seed: Seed of the starts.

    Raises:
        ValueError: if there are fewer points than clusters.
        ImportError: if no package for it is installed.
    """
    if len(points) < recipe.prototypes:
        raise ValueError(
            f"{len(points)} points for {recipe.prototypes} clusters; give fewer prototypes"
        )
    values = points.detach().cpu().float().numpy()
    large = values.shape[0] * recipe.prototypes >= FAISS_FROM
    search = _run_faiss if large and importlib.util.find_spec("faiss") else _run_sklearn
    labels, centroids = search(values, recipe, seed)
    return Clusters(torch.from_numpy(labels).long(), torch.from_numpy(centroids).float())


def _run_sklearn(
    values: Float[np.ndarray, "point width"], recipe: PairRecipe, seed: int
) -> tuple[Any, Any]:
    try:
        from sklearn.cluster import KMeans
    except ImportError as failure:
        raise ImportError(
            "clusters need scikit-learn; install it with: "
            "pip install 'grounding-probe[pretraining]'"
        ) from failure
    # Random starts as in faiss: k-means++ takes longer than the iterations where clusters are many.
    restarts: Any = recipe.cluster_restarts  # its types allow only the word "auto"
    search = KMeans(
        recipe.prototypes,
        init="random",
        n_init=restarts,
        max_iter=recipe.cluster_rounds,
        random_state=seed,
    )
    labels = search.fit_predict(values)
    return labels, search.cluster_centers_


def _run_faiss(
    values: Float[np.ndarray, "point width"], recipe: PairRecipe, seed: int
) -> tuple[Any, Any]:
    import faiss  # pyright: ignore[reportMissingImports]

    search = faiss.Kmeans(
        values.shape[1],
        recipe.prototypes,
        niter=recipe.cluster_rounds,
        nredo=recipe.cluster_restarts,
        seed=seed,
        gpu=faiss.get_num_gpus() > 0,
        # By default faiss learns from 256 points a cluster at most, and warns below 39.
        min_points_per_centroid=1,
        max_points_per_centroid=len(values),
    )
    search.train(values)
    _, labels = search.index.search(values, 1)
    return labels[:, 0], search.centroids


def make_tasks(
    images: Float[Tensor, "pair width"],
    texts: Float[Tensor, "pair width"],
    teacher: Float[Tensor, "pair other"] | None,
    recipe: PairRecipe,
    seed: int,
) -> EpisodeTasks:
    """Cluster the features of an episode, and make what each side is to learn from them.

    Args:
        images: Outputs of the image head for all pairs of the episode, of unit length.
        texts: Outputs of the text head.
        teacher: Features of an external teacher of the same pairs, reduced; None without one.
        recipe: Clusters, weights, temperature, and whether prototypes are translated back.
        seed: Seed of the episode's clusters.

    Returns:
        For each side, a task on the clusters of the other, and one on those of the teacher.
    """
    image_tasks: list[PrototypeTask] = []
    text_tasks: list[PrototypeTask] = []
    if recipe.prototype_weight > 0:
        by_texts = find_clusters(texts, recipe, seed)
        by_images = find_clusters(images, recipe, seed)
        how = (recipe.translate, recipe.temperature, recipe.prototype_weight)
        image_tasks.append(_set_task(images, by_texts, *how))
        text_tasks.append(_set_task(texts, by_images, *how))
    if recipe.teacher_weight > 0 and teacher is not None:
        clusters = find_clusters(teacher, recipe, seed)
        # A teacher's space is neither side's: its clusters are always translated. Its targets are
        # single clusters in the published settings.
        image_tasks.append(_set_task(images, clusters, True, 0.0, recipe.teacher_weight))
        text_tasks.append(_set_task(texts, clusters, True, 0.0, recipe.teacher_weight))
    return EpisodeTasks(tuple(image_tasks), tuple(text_tasks))


def _set_task(
    students: Tensor, clusters: Clusters, translate: bool, temperature: float, weight: float
) -> PrototypeTask:
    """Make the task of guessing each pair's cluster from the students' side."""
    count = len(clusters.centroids)
    own = translate_back(students.cpu(), clusters.labels, count) if translate else None
    prototypes = clusters.centroids if own is None else own
    return PrototypeTask(clusters.labels, prototypes, clusters.centroids, temperature, weight)
