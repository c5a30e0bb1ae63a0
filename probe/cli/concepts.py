"""`probe concepts`: learn which concepts states hold, and name classes that were never taught."""

import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from tyro.conf import Positional, arg

from probe.cli.console import keep_for_json, show, show_json, silence_libraries
from probe.cli.model_options import ModelOptions, load_model
from probe.cli.numbers import check_layer, check_numbers
from probe.cli.outputs import check_file_writable, make_folder
from probe.cli.unused_options import refuse_unused
from probe.spelling import explain_unknown

if TYPE_CHECKING:
    from probe.datasets.zero_shot import ZeroShotData
    from probe.trained.concepts.attributes import ClassAttributes
    from probe.trained.concepts.concept_probe import ConceptProbe
    from probe.trained.concepts.recipes import ConceptRecipe
    from probe.trained.concepts.shapes import ShapeClasses

SHAPES = "shapes"

PUBLISHED = ("awa2", "cub", "sun", "apy", "flo")
# Repeated here, because the module that reads them imports scipy.

OF_SHAPES = ("layer", "classes", "unseen", "clips", "attributes")
OF_PUBLISHED = ("root", "pictures", "weights")
"""Options that serve one kind of samples only."""

LEARNED_SEED, NAMED_SEED = 770_001, 770_002
"""Seeds of the clips; no benchmark has one of them."""

FewFactors: TypeAlias = Literal["colour+shape", "colour+action", "shape+action", "all"]
MixingName: TypeAlias = Literal["placeholders", "mixup", "none"]
RecipeName: TypeAlias = Literal["states", "awa2", "cub"]


@dataclass(frozen=True)
class Concepts:
    """Learn which concepts states hold, and name classes that were never taught (LPL)."""

    name: Annotated[Positional[str], arg(metavar="NAME")] = ""
    """The samples: shapes (states of a video model, the default), or features of pictures as
    published: awa2, cub, sun, apy, flo."""

    options: Annotated[ModelOptions, arg(name="")] = field(default_factory=ModelOptions)

    data: Annotated[str, arg(metavar="NAME")] = ""
    """Another way to give NAME."""

    layer: Annotated[int | None, arg(metavar="N")] = None
    """The decoder layer that the states enter; by default each of them, one after the other."""

    classes: FewFactors = "colour+shape"
    """The factors whose combinations are the classes of the shapes."""

    unseen: Annotated[int | None, arg(metavar="N")] = None
    """Classes of the shapes that are not taught; by default a quarter."""

    clips: Annotated[int, arg(metavar="N")] = 200
    """Clips of the shapes to learn from; half as many others are named."""

    attributes: Annotated[str, arg(metavar="{one-hot,words,FILE.csv}")] = "one-hot"
    """The description of each class of the shapes: one-hot factors, the model's own embeddings of
    words, or a table with the class in its first column."""

    recipe: RecipeName | None = None
    """The constants; by default those for states, or those published for the data set (awa2 for
    those that have none)."""

    mixing: MixingName = "placeholders"
    """The way classes are mixed while prototypes are learned."""

    calibrate: bool = False
    """Also show calibrated stacking and AUSUC; the constant is chosen on validation classes."""

    select: bool = False
    """Choose the length of the second stage on validation classes, among a quarter, a half and all
    of the published one."""

    root: Annotated[Path | None, arg(metavar="DIR")] = None
    """The folder of a published data set: res101.mat and att_splits.mat."""

    pictures: Annotated[Path | None, arg(metavar="DIR")] = None
    """The folder of its pictures: a ResNet-101 is tuned on them first, as published. Needs a GPU in
    practice. Without it, a linear map on the given features takes the place of the tuning."""

    weights: Annotated[Path | None, arg(metavar="FILE")] = None
    """Weights of torchvision's ResNet-101 to tune; by default torchvision fetches them."""

    seed: int = 0
    """Seed of the weights, of the draws, and of the classes of the shapes that are held out."""

    out: Annotated[Path | None, arg(metavar="FILE")] = None
    """File for the probe that was learned last, such as concepts.safetensors."""

    json: bool = False
    """Print one JSON object and nothing else on the standard output."""

    @property
    def debug(self) -> bool:
        """True if the traceback of an error is to be shown."""
        return self.options.debug

    def run(self) -> None:
        """Learn, name the samples of other clips or pictures, and print the figures."""
        name = self.name or self.data or SHAPES
        self._check(name)
        silence_libraries()
        with keep_for_json(self.json):
            rows, probe = self._read_shapes() if name == SHAPES else self._read_published(name)
        if self.out is not None:
            make_folder(self.out.absolute().parent)
            probe.save(self.out)
        self._print(name, rows, probe)

    def _check(self, name: str) -> None:
        """Refuse options of no use before torch is loaded."""
        if self.name and self.data and self.name != self.data:
            raise ValueError(f"{self.name} and --data {self.data}: give one of them")
        if name not in (SHAPES, *PUBLISHED):
            raise ValueError(explain_unknown("data", name, (SHAPES, *PUBLISHED)))
        if name == SHAPES:
            refuse_unused(self, OF_PUBLISHED, "shapes are drawn from a seed; leave it out")
        else:
            refuse_unused(self, OF_SHAPES, f"only of shapes, and not of {name}; leave it out")
            if self.root is None:
                raise ValueError(f"{name}: give --root its folder")
        check_numbers(self, clips=1, unseen=1, seed=0)
        self.options.check()
        if self.out is not None:
            check_file_writable(self.out, suffix=".safetensors")

    def _print(self, name: str, rows: dict[str, Any], probe: "ConceptProbe") -> None:
        if self.json:
            show_json({"data": name, "rows": {key: one.to_dict() for key, one in rows.items()}})
            return
        seen = int(probe.seen.sum())
        show(
            f"{len(probe.names)} classes, {len(probe.names) - seen} of them never taught; "
            f"{probe.attributes.kind}"
        )
        for row, report in rows.items():
            show(f"{row:24} {format_report(report)}")
        if self.out is not None:
            show(f"written {self.out}")

    def _make_recipe(self, usual: RecipeName) -> "ConceptRecipe":
        from probe.trained.concepts.recipes import MIXINGS, RECIPES

        recipe = replace(RECIPES[self.recipe or usual], seed=self.seed)
        # The rule of a recipe has constants of its own; only another rule takes its place.
        named = MIXINGS[self.mixing]
        same = type(named) is type(recipe.prototypes.mixing)
        return recipe if same else recipe.with_mixing(named)

    def _read_shapes(self) -> tuple[dict[str, Any], "ConceptProbe"]:
        """Learn from states of drawn clips, layer by layer."""
        import numpy as np

        from probe.organism.world import make_clip
        from probe.trained.concepts.shapes import FACTOR_NAMES, ShapeClasses, collect_shapes

        factors = FACTOR_NAMES if self.classes == "all" else tuple(self.classes.split("+"))
        classes = ShapeClasses(factors)
        held = len(classes.names) // 4 if self.unseen is None else self.unseen
        seen = classes.hold_out(held, np.random.default_rng(self.seed))
        model = load_model(self.options.model, self.options)
        check_layer("--layer", self.layer, model)
        # All layers in one pass of each clip; a probe of each takes a second.
        layers = None if self.layer is None else [self.layer]
        learned, named = (
            collect_shapes(model, (make_clip((start, one)) for one in range(count)), layers)
            for start, count in ((LEARNED_SEED, self.clips), (NAMED_SEED, max(1, self.clips // 2)))
        )
        view = model.watch(make_clip((NAMED_SEED, 0)).video())
        table = self._describe_classes(view, classes)
        rows: dict[str, Any] = {}
        probes: list[ConceptProbe] = []
        for layer in learned.layers:
            samples = learned.at(layer), classes.label(learned.factors)
            others = named.at(layer), classes.label(named.factors)
            about = {"model": dict(model.identity), "layer": layer, "data": SHAPES}
            found, probe = self._learn(samples, others, table, seen, about)
            rows |= {f"layer {layer}, {row}": report for row, report in found.items()}
            probes.append(probe)
        return rows, probes[-1]

    def _describe_classes(self, view: Any, classes: "ShapeClasses") -> "ClassAttributes":
        from probe.trained.concepts.attributes import (
            embed_factors,
            encode_factors,
            read_attributes,
        )

        if self.attributes == "one-hot":
            return encode_factors(classes.combinations)
        if self.attributes == "words":
            return embed_factors(view, classes.combinations)
        return read_attributes(self.attributes, classes.names)

    def _read_published(self, name: str) -> tuple[dict[str, Any], "ConceptProbe"]:
        """Learn from the features, or from the pictures, of a published data set."""
        import torch

        from probe.datasets.zero_shot import read_zero_shot
        from probe.trained.concepts.attributes import ClassAttributes

        data = read_zero_shot(name, self.root or Path())
        for note in data.notes:
            warnings.warn(note, stacklevel=2)
        table = ClassAttributes(data.names, torch.from_numpy(data.attributes), f"those of {name}")
        seen = torch.zeros(len(table), dtype=torch.bool)
        seen[torch.from_numpy(data.seen)] = True
        features = torch.from_numpy(data.features)
        if self.pictures is not None:
            features = self._tune(data, table)
        else:
            warnings.warn(
                "features as given: a linear map takes the place of tuning the ResNet-101",
                stacklevel=2,
            )
        # Both test parts together: whether a sample is unseen is what a probe has to find out.
        labels = torch.from_numpy(data.classes)
        test = torch.cat(
            [torch.from_numpy(data.parts[part]) for part in ("test_seen_loc", "test_unseen_loc")]
        )
        taught = torch.from_numpy(data.parts["trainval_loc"])
        about = {"data": name, "pictures": self.pictures is not None}
        samples, others = (features[taught], labels[taught]), (features[test], labels[test])
        return self._learn(samples, others, table, seen, about, data.validation)

    def _tune(self, data: "ZeroShotData", table: "ClassAttributes") -> Any:
        """Tune a ResNet-101 on the pictures of seen classes, and encode all pictures."""
        import torch

        from probe.trained.concepts.pictures import (
            PictureRecipe,
            encode_pictures,
            find_pictures,
            open_resnet,
            tune_on_pictures,
        )

        paths = find_pictures(data.images, self.pictures or Path())
        device = "cuda" if torch.cuda.is_available() else "cpu"
        network = open_resnet(self.weights).to(device)
        recipe = PictureRecipe(self._make_recipe(_usual(data.name)).semantic, self.seed)
        places = data.parts["trainval_loc"]
        labels = torch.from_numpy(data.classes[places])
        tune_on_pictures(network, [paths[one] for one in places], labels, table.values, recipe)
        return encode_pictures(network, paths, recipe)

    def _learn(
        self,
        samples: tuple[Any, Any],
        others: tuple[Any, Any],
        table: "ClassAttributes",
        seen: Any,
        about: dict[str, Any],
        held: Any = None,
    ) -> tuple[dict[str, Any], "ConceptProbe"]:
        """Learn a probe, and report on other samples, for both stages."""
        from probe.metrics.zero_shot import zero_shot_report
        from probe.trained.concepts.concept_probe import ConceptProbe
        from probe.trained.concepts.selection import select_recipe

        usual: RecipeName = "states" if about["data"] == SHAPES else _usual(about["data"])
        recipe, constant = self._make_recipe(usual), None
        if self.select or self.calibrate:
            lengths = _shorten(recipe) if self.select else {"all": recipe}
            chosen = select_recipe(*samples, table, seen, lengths, held=held)
            recipe, constant = chosen.recipe, chosen.constant if self.calibrate else None
        probe = ConceptProbe.learn(*samples, table, seen, recipe, about=about)
        vectors, classes = others
        return {
            "attributes alone": zero_shot_report(probe.semantic_scores(vectors), classes, seen),
            self.mixing: zero_shot_report(probe.scores(vectors), classes, seen, constant=constant),
        }, probe


def _usual(name: str) -> RecipeName:
    return "cub" if name == "cub" else "awa2"


def _shorten(recipe: "ConceptRecipe") -> "dict[str, ConceptRecipe]":
    """Return the recipe with a quarter, a half and all of the epochs of its second stage."""
    stage = recipe.prototypes
    count = stage.epochs * stage.steps
    return {
        name: replace(
            recipe, prototypes=replace(stage, epochs=1, steps=max(1, round(share * count)))
        )
        for name, share in (("a quarter", 0.25), ("a half", 0.5), ("all", 1.0))
    }


def format_report(report: Any) -> str:
    """Write the figures of a report in one line."""
    line = (
        f"T1 {report.t1:.3f}  U {report.unseen:.3f}  S {report.seen:.3f}  H {report.harmonic:.3f}"
    )
    if (also := report.calibrated) is None:
        return line
    return (
        f"{line}  calibrated H {also.harmonic:.3f} (constant {also.constant:.3f}), "
        f"AUSUC {also.ausuc:.3f}"
    )
