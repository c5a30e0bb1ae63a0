"""Make the scene of an answer: from the readings that it holds, or read again with its model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from probe.engine.kept_views import make_room
from probe.engine.readings import Reading
from probe.engine.view import View
from probe.files import read_json
from probe.grounder import look as read_part
from probe.grounding.answers import ANSWER_FORMAT, Answer
from probe.grounding.config import GrounderConfig, Part
from probe.grounding.looks import Look
from probe.grounding.reattention import prompt_views
from probe.interpret.head_rules import HeadRule
from probe.paths import is_there
from probe.video import Tube, read_video
from probe.viewer.answer_words import describe_use
from probe.viewer.scene import Scene, ShownQuestion


@dataclass(frozen=True, eq=False)
class _Evidence:
    """The readings of one part of an answer, whichever way they came."""

    reading: Reading
    generic: Reading | None = None
    layers: tuple[int, ...] | None = None
    """The layers that the answer was read from; None for all of the reading."""
    before: "_Evidence | None" = None
    """The readings without the latent prompt."""
    missing: str = ""
    """A sentence for people about readings that are not there."""


def open_answer(path: Path) -> Answer:
    """Load a saved answer; if its video is gone from where it was, look for it next to the answer.

    Raises:
        ValueError: if the file is no answer, or its video is gone.
    """
    # A folder with both may have been moved, or sent to somebody.
    with ANSWER_FORMAT.reading(path):
        about = ANSWER_FORMAT.check(path, read_json(path))["video"]
        source = Path(about["path"] or "")
        nearby = path.parent / source.name
        if is_there(nearby) and not is_there(source):
            return Answer.load(path, read_video(nearby, len(about["sampled_frames"])))
    return Answer.load(path)


def show_answer(answer: Answer, view: View | None = None, *, truth: Tube | None = None) -> Scene:
    """Make the scene of an answer, which opens on the maps that the answer was read from.

    With a view, the questions are read again at every layer, and the generic prompt with them. If
    latent prompts were learned for the answer, they are learned again, to compare before and after;
    what it read in both frame orders is read in both. Without a view, the readings that the answer
    holds are shown: those of the layers that it was read from, and none of the generic prompt; the
    scene says which are missing.

    Args:
        answer: The answer; one that was loaded holds no readings, and needs the view.
        view: The answer's video as the answer's model sees it.
        truth: The true place of the thing, if that is known.

    Raises:
        ValueError: if the answer was loaded and there is no view; or the view is of other frames
            than the answer's, or its model reads the questions as other tokens than the answer's.
    """
    looks = _name_looks(answer)
    found = _collect_held(answer) if view is None else _read_again(answer, view)
    shown = [
        replace(_show_look(name, one, evidence, answer), use=describe_use(answer, name))
        for (name, one), evidence in zip(looks.items(), found, strict=True)
    ]
    if view is not None:
        shown += _show_reversed(answer, view)
    return Scene(
        answer.video,
        tuple(shown),
        title=answer.queries.whole,
        model=str(answer.model["name"]),
        answer=answer,
        truth=truth,
    )


def _name_looks(answer: Answer) -> Mapping[str, Look]:
    """Return the looks of an answer by what they are for; a picture has no when."""
    looks = {"where": answer.where}
    return looks if answer.video.is_still else {**looks, "when": answer.when}


def _show_look(name: str, look: Look, found: _Evidence, answer: Answer) -> ShownQuestion:
    shown = ShownQuestion(
        found.reading,
        found.generic,
        name=name,
        chosen=look.tokens,
        layers=found.layers,
        relative=answer.config.relative and found.generic is not None,
        heatmap=look.heatmap,
        missing=found.missing,
    )
    if found.before is None:
        return shown
    # The answer's map was read with the latent prompt, and is no map of the reading before.
    earlier = replace(
        shown, reading=found.before.reading, generic=found.before.generic, heatmap=None
    )
    return replace(shown, before=earlier)


def _show_reversed(answer: Answer, view: View) -> list[ShownQuestion]:
    """Read in reverse frame order the parts of an answer that were read in both."""
    config = answer.config
    make_room(view)
    turned = view.under(*config.interventions).reversed()  # nothing of it is computed here
    shown = []
    parts = config.parts(answer.queries, view.video, view.checkpoint.medium)
    for name, part in zip(_name_looks(answer), parts, strict=True):
        if part.assembly is None:
            continue
        (prompted,) = prompt_views(turned, [(part.learned_for, part.learning)], config.generic)
        # As the grounder does, in the layers of the answer: other tokens may be chosen.
        back = read_part(prompted, part, config)
        found = _read_look(back, prompted, config, part.heads)
        use = f"The model saw the last frame first; the map of {name} joins both orders."
        shown.append(replace(_show_look(f"{name}, reversed", back, found, answer), use=use))
    return shown


def _collect_held(answer: Answer) -> list[_Evidence]:
    """Collect the readings that an answer in hand holds."""
    parts = answer.config.parts(answer.queries, answer.video)
    looks = _name_looks(answer).values()
    return [
        _Evidence(_require_reading(look), missing=_describe_missing(answer, look, part))
        for look, part in zip(looks, parts, strict=True)
    ]


def _require_reading(look: Look) -> Reading:
    if look.reading is None:
        raise ValueError(
            "an answer from a file holds no attention of its tokens; give its model, too, to read "
            "it again: probe.page(answer, model=model)"
        )
    return look.reading


def _describe_missing(answer: Answer, look: Look, part: Part) -> str:
    """Describe which readings an answer in hand has no longer, or never had."""
    layers = _require_reading(look).layers
    missing = ["the generic prompt, so there is no relative map"]
    if len(layers) < answer.model["layers"]:
        missing.append(f"layers other than {', '.join(map(str, layers))}")
    if part.learning is not None:
        missing.append("the attention before re-attention")
    if part.assembly is not None:
        missing.append("the attention in reverse frame order")
    return (
        f"Not kept in the answer: {'; '.join(missing)}. Give the model to read them again: "
        f"probe.show(answer, model=model)."
    )


def _read_again(answer: Answer, view: View) -> list[_Evidence]:
    """Read the questions of an answer again, at every layer, and the generic prompt with them."""
    if view.video.indices != answer.video.indices:
        raise ValueError(
            f"the answer was read from frames {list(answer.video.indices)}, not "
            f"{list(view.video.indices)}; give its video, with as many frames sampled"
        )
    config = answer.config
    parts = config.parts(answer.queries, view.video, view.checkpoint.medium)
    learned = [(part.learned_for, part.learning) for part in parts]
    views = prompt_views(view.under(*config.interventions), learned, config.generic)
    looks = _name_looks(answer).values()
    return [
        _read_look(look, seen, config, part.heads)
        for look, seen, part in zip(looks, views, parts, strict=True)
    ]


def _read_look(
    look: Look, prompted: View, config: GrounderConfig, heads: HeadRule | None
) -> _Evidence:
    """Read the question of one part of an answer, and the generic prompt, at every layer.

    Args:
        look: The look of the answer.
        prompted: The view, with a latent prompt if one was learned.
        config: The configuration of the answer.
        heads: The rule for the heads of this part; None for those of the configuration.
    """
    view = prompted.plain or prompted
    asked, generic = _read_with_generic(view, look.question, config, heads)
    if look.token_texts != asked.tokens:
        raise ValueError(
            f"this model reads {look.question!r} as other tokens than the answer's did; "
            "give the model of the answer"
        )
    layers = None if asked.layers_heads else config.layers
    if layers is not None:
        layers = _count_from_first(layers, view.checkpoint.depth)
    plain = _Evidence(asked, generic, layers)
    if prompted is view:
        return plain
    after, after_generic = _read_with_generic(prompted, look.question, config, heads)
    generic = after_generic if config.prompt_generic else generic
    return _Evidence(after, generic, layers, before=plain)


def _read_with_generic(
    view: View, question: str, config: GrounderConfig, heads: HeadRule | None
) -> list[Reading]:
    """Read the question and the generic prompt, averaged over the heads of the answer."""
    pairs = config.layers_heads
    if heads is not None:
        # Chosen among the layers of the answer, as the grounder chose them.
        (among,) = view.read(question, layers=config.layers)
        pairs = heads(among)
    return [reading.through(pairs) for reading in view.read(question, config.generic)]


def _count_from_first(layers: Sequence[int], depth: int) -> tuple[int, ...]:
    return tuple(sorted({layer % depth for layer in layers}))
