"""`probe pretrain`: two towers learn from pairs of pictures and sentences, as CLIP or ProtoCLIP."""

import hashlib
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from tyro.conf import arg

from probe.cli.console import keep_for_json, show, show_json
from probe.cli.outputs import check_writable
from probe.pretraining.recipe import PRESETS, PairRecipe

if TYPE_CHECKING:
    from probe.pretraining.clip_towers import ClipTowers
    from probe.pretraining.learner import PairLearner
    from probe.pretraining.pair_files import PictureTable

# The parser would name the value of an option that may be left out "{None}|N".
Whole: TypeAlias = Annotated[int | None, arg(metavar="N")]
Decimal: TypeAlias = Annotated[float | None, arg(metavar="NUMBER")]


@dataclass(frozen=True)
class RecipeChanges:
    """Settings that differ from the preset's; one that is not given is the preset's."""

    seed: Whole = None
    """Seed of the initial weights, of the draws and of the augmentation."""
    episodes: Whole = None
    """Number of episodes: draws of pairs, each clustered once and learned from in one pass."""
    episode_pairs: Whole = None
    """Pairs drawn for an episode, with replacement."""
    batch: Whole = None
    """Pairs in a batch."""
    rate: Decimal = None
    """Highest learning rate."""
    warm_steps: Whole = None
    """Steps in which the learning rate rises."""
    decay: Decimal = None
    """Weight decay of the towers' matrices."""
    warm_episodes: Whole = None
    """Episodes at the start that learn from pairs alone."""
    locked_episodes: Whole = None
    """Episodes at the end in which the image tower is fixed, and pairs alone teach the texts."""
    prototypes: Whole = None
    """Number of clusters of each side."""
    prototype_weight: Decimal = None
    """Weight of the prototype loss; 0 leaves InfoNCE, that is CLIP."""
    translate: Annotated[Literal["yes", "no"] | None, arg(metavar="{yes,no}")] = None
    """Translate prototypes back to the students' own space, as published, or do not."""
    temperature: Decimal = None
    """Temperature of the targets; 0 makes each a single cluster."""
    teacher_weight: Decimal = None
    """Weight of the loss on the clusters of --teacher; 1 if a teacher is given."""

    def apply(self, preset: PairRecipe) -> PairRecipe:
        """Return a preset with these changes."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        changes: dict[str, Any] = {
            name: value for name, value in given.items() if value is not None
        }
        if "translate" in changes:
            changes["translate"] = changes["translate"] == "yes"
        return replace(preset, **changes)


@dataclass(frozen=True)
class Pretrain:
    """Learn an image tower and a text tower from pairs of your own; a stopped run continues."""

    pairs: Annotated[Path, arg(metavar="FILE")]
    """Tab-separated pairs, with the columns filepath (from the file's folder) and title."""

    image_tower: Annotated[str, arg(metavar="NAME")] = "RN50"
    """Name of a model of open_clip, whose two towers learn from random weights."""

    out: Annotated[Path, arg(metavar="DIR")] = Path("probe-pretrain")
    """Folder for the run; towers.safetensors in it is a checkpoint that open_clip opens."""

    preset: Literal["one-card", "eight-cards"] = "one-card"
    """Published settings of ProtoCLIP to start from; all of them run on one card."""

    changes: Annotated[RecipeChanges, arg(name="")] = field(default_factory=RecipeChanges)

    teacher: Annotated[Path | None, arg(metavar="FILE")] = None
    """Features of an external teacher (.npy), one row for each row of the pairs."""

    evaluate: Annotated[Path | None, arg(metavar="FILE")] = None
    """Score on these pictures when learning has ended: tab-separated, with the columns filepath,
    label and split (train or test)."""

    templates: Annotated[Path | None, arg(metavar="FILE")] = None
    """Sentences with {} for the name of a class, one a line, for --evaluate."""

    held_out: Annotated[Path | None, arg(metavar="FILE")] = None
    """Pairs that are not learned from: their retrieval and the modality gap are scored."""

    leave_out_bad: bool = False
    """List rows that cannot be used and leave them out, where they would be refused."""

    device: Annotated[str, arg(metavar="DEVICE")] = "cpu"
    """Device to learn on: cpu, cuda, cuda:1 ..."""

    workers: int = 2
    """Processes that read pictures."""

    quick: bool = False
    """Only check that all runs, with a few pairs; the result is of no use."""

    json: bool = False
    """Print one JSON object and nothing else on the standard output."""

    quiet: bool = False
    """Show no progress bars and no notes; results and errors stay."""

    debug: bool = False
    """Show the full traceback of an error."""

    def run(self) -> None:
        """Learn, score if that is asked for, and print where the towers are."""
        with keep_for_json(self.json):
            found = self._run()
        if self.json:
            show_json(found)
            return
        for name, value in found["scores"].items():
            show(f"{name}: {_format(value)}")
        show(
            f"written {found['towers']} (open_clip.create_model('{self.image_tower}', "
            "pretrained=...) opens it)"
        )

    def _run(self) -> dict[str, Any]:
        from probe.engine.opening import find_device
        from probe.files import write_json
        from probe.pretraining.clip_towers import make_clip_towers, save_clip_weights
        from probe.pretraining.learner import PairLearner
        from probe.pretraining.picture_scores import DEFAULT_TEMPLATES, read_templates

        check_writable(self.out)
        if self.workers < 0:
            raise ValueError(f"--workers {self.workers}: give 0 to read pictures in this process")
        if self.templates is not None and self.evaluate is None:
            raise ValueError("--templates: they name the classes of --evaluate; give it, too")
        find_device(self.device)
        recipe = self._choose_recipe()
        # Every file is read before the first step: hours later, a wrong path would be found late.
        tables = self._read_tables()
        templates = read_templates(self.templates) if self.templates else DEFAULT_TEMPLATES
        clip = make_clip_towers(self.image_tower, recipe.seed)
        learner = PairLearner(clip.towers, recipe)
        self._learn(learner, clip, recipe, tables["pairs"])
        towers = self.out / "towers.safetensors"
        save_clip_weights(towers, clip, learner)
        scores = self._score(learner, clip, tables, templates)
        write_json(self.out / "scores.json", scores)
        return {"towers": str(towers), "scores": scores, "recipe": asdict(recipe)}

    def _choose_recipe(self) -> PairRecipe:
        changes = self.changes
        if self.teacher is not None and changes.teacher_weight is None:
            changes = replace(changes, teacher_weight=1.0)
        recipe = changes.apply(PRESETS[self.preset])
        return recipe.shorten() if self.quick else recipe

    def _read_tables(self) -> "dict[str, PictureTable]":
        """Read the files of pictures, and say or refuse what cannot be used."""
        import warnings

        from probe.pretraining.pair_files import CLASS_COLUMNS, PAIR_COLUMNS, read_table
        from probe.pretraining.picture_scores import check_classes

        files = {
            "pairs": (self.pairs, PAIR_COLUMNS),
            "evaluate": (self.evaluate, CLASS_COLUMNS),
            "held_out": (self.held_out, PAIR_COLUMNS),
        }
        tables = {}
        for name, (path, columns) in files.items():
            if path is None:
                continue
            table = read_table(path, columns)
            if not self.leave_out_bad:
                table.require_all("mend them, or give --leave-out-bad")
            if table.problems:
                warnings.warn(f"{table.left_out}; left out", stacklevel=2)
            tables[name] = table
        if "evaluate" in tables:
            check_classes(tables["evaluate"])
        return tables

    def _learn(
        self,
        learner: "PairLearner",
        clip: "ClipTowers",
        recipe: PairRecipe,
        table: "PictureTable",
    ) -> None:
        from probe.pretraining.clip_towers import make_augmentation
        from probe.pretraining.losses import reduce_teacher
        from probe.pretraining.pair_files import PicturePairs, read_teacher
        from probe.pretraining.runs import PairRun, learn_pairs
        from probe.pretraining.threads import use_few_threads

        teacher = None
        if self.teacher is not None:
            teacher = reduce_teacher(read_teacher(self.teacher, table), recipe.teacher_width)
        pairs = PicturePairs(table, clip.tokenise, make_augmentation(clip))
        # Of the file, not of its pictures: those are read anew in each episode.
        source = hashlib.sha256(self.pairs.read_bytes()).hexdigest()
        run = PairRun(self.out, self.device, self.workers, teacher, source=source)
        with use_few_threads(learner):
            learn_pairs(learner, pairs, recipe, run)

    def _score(
        self,
        learner: "PairLearner",
        clip: "ClipTowers",
        tables: "dict[str, PictureTable]",
        templates: tuple[str, ...],
    ) -> dict[str, Any]:
        from probe.pretraining.clip_towers import make_transform
        from probe.pretraining.picture_scores import PictureScorer
        from probe.pretraining.scores import LinearProbeRecipe

        scorer = PictureScorer(learner, clip.tokenise, make_transform(clip))
        scores: dict[str, Any] = {}
        if "evaluate" in tables:
            scores |= scorer.score_classes(tables["evaluate"], templates, LinearProbeRecipe())
        if "held_out" in tables:
            scores |= scorer.score_pairs(tables["held_out"])
        return scores


def _format(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_format(one)}" for name, one in value.items())
    return f"{value:.3f}" if isinstance(value, float) else str(value)
