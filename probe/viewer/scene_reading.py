"""Read scenes with a model: ask questions about a video, or read a saved answer again."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from probe.engine.prompts import GENERIC
from probe.engine.readings import Reading
from probe.engine.view import View
from probe.files import read_json
from probe.grounding.answers import ANSWER_FORMAT, Answer
from probe.grounding.config import GrounderConfig
from probe.grounding.looks import Look
from probe.grounding.reattention import Learning, prompt_views
from probe.video import Tube, read_video
from probe.viewer.scene import Scene, ShownQuestion, choose_grounding_token


def ask_questions(
    view: View,
    *questions: str,
    learning: Learning | None = None,
    generic: str = GENERIC,
    truth: Tube | None = None,
) -> Scene:
    """Ask questions about a video, and make the scene that shows where each token looks.

    Args:
        view: The video as the model sees it.
        questions: The questions, each asked on its own.
        learning: How to learn a latent prompt for each question, to compare before and after.
        generic: The prompt over whose maps relative attention is taken.
        truth: The true place of the thing, if that is known.

    Raises:
        ValueError: for an empty, too long or unsafe question, or none.
    """
    if not questions:
        raise ValueError("there is no question to ask; give at least one")
    *asked, base = view.read(*questions, generic)
    shown = [
        ShownQuestion(reading, base, chosen=choose_grounding_token(reading)) for reading in asked
    ]
    if learning is not None:
        views = learning.prompted(view, questions, generic)
        shown = [_compare(*pair) for pair in zip(shown, views, strict=True)]
    return Scene(view.video, tuple(shown), title=questions[0], model=view.model, truth=truth)


def _compare(plain: ShownQuestion, prompted: View) -> ShownQuestion:
    (after,) = prompted.read(plain.reading.prompt.question)
    return ShownQuestion(after, plain.generic, chosen=choose_grounding_token(after), before=plain)


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
        if nearby.exists() and not source.exists():
            return Answer.load(path, read_video(nearby, len(about["sampled_frames"])))
    return Answer.load(path)


def read_answer(answer: Answer, view: View, *, truth: Tube | None = None) -> Scene:
    """Read the questions of an answer again, at every layer, and the generic prompt with them.

    A saved answer holds no attention but its two maps. If latent prompts were learned for the
    answer, they are learned again, and the page compares before and after.

    Args:
        answer: The answer, in hand or loaded.
        view: The answer's video as the answer's model sees it.
        truth: The true place of the thing, if that is known.

    Raises:
        ValueError: if the view is of other frames than the answer's, or the model reads the
            questions as other tokens than the answer's did.
    """
    if view.video.indices != answer.video.indices:
        raise ValueError(
            f"the answer was read from frames {list(answer.video.indices)}, not "
            f"{list(view.video.indices)}; give its video, with as many frames sampled"
        )
    config = answer.config
    learned = [(part.learned_for, part.learning) for part in config.parts(answer.queries)]
    views = prompt_views(view.under(*config.interventions), learned, config.generic)
    looks = zip(("where", "when"), (answer.where, answer.when), views, strict=True)
    questions = tuple(_read_look(*look, config) for look in looks)
    title, model = answer.queries.whole, str(answer.model["name"])
    return Scene(view.video, questions, title, model, answer, truth)


def _read_look(name: str, look: Look, prompted: View, config: GrounderConfig) -> ShownQuestion:
    """Read the question of one part of an answer, and the generic prompt, at every layer."""
    view = prompted.plain or prompted
    asked, generic = _read_with_generic(view, look.question, config)
    if look.token_texts != asked.tokens:
        raise ValueError(
            f"this model reads {look.question!r} as other tokens than the answer's did; "
            "give the model of the answer"
        )
    layers = None if config.layers_heads else config.layers
    shown = ShownQuestion(
        asked,
        generic,
        name,
        look.tokens,
        None if layers is None else _count_from_first(layers, view.checkpoint.depth),
        config.relative,
        look.heatmap,
    )
    if prompted is view:
        return shown
    after, after_generic = _read_with_generic(prompted, look.question, config)
    # The answer's map was read with the latent prompt, and is no map of the reading before.
    before = replace(shown, heatmap=None)
    generic = after_generic if config.prompt_generic else generic
    return replace(shown, reading=after, generic=generic, before=before)


def _read_with_generic(view: View, question: str, config: GrounderConfig) -> list[Reading]:
    """Read the question and the generic prompt, averaged over the heads of the answer."""
    pairs = config.layers_heads
    return [reading.through(pairs) for reading in view.read(question, config.generic)]


def _count_from_first(layers: Sequence[int], depth: int) -> tuple[int, ...]:
    return tuple(sorted({layer % depth for layer in layers}))
