"""Make scenes: of questions asked about a video, and of anything else that can be looked at."""

from collections.abc import Mapping
from dataclasses import replace

from probe.engine.answering import generate
from probe.engine.attention import Heatmap
from probe.engine.model import VideoLM
from probe.engine.prompts import GENERIC
from probe.engine.readings import Reading
from probe.engine.view import View
from probe.grounding.answers import Answer
from probe.grounding.reattention import Learning
from probe.interpret.logit_lens import LogitLens
from probe.video import Tube, Video
from probe.viewer.answer_scene import show_answer
from probe.viewer.scene import Scene, ShownQuestion, choose_grounding_token


def as_scene(  # noqa: PLR0913  all that a page may show
    seen: Scene | Answer | Reading,
    video: Video | None = None,
    *,
    generic: Reading | None = None,
    before: Reading | None = None,
    model: VideoLM | None = None,
    truth: Tube | None = None,
    lens: LogitLens | None = None,
    maps: Mapping[str, Heatmap] | None = None,
) -> Scene:
    """Convert anything that can be looked at to the scene that the page shows.

    Args:
        seen: A scene, an answer, or a reading.
        video: The video that a reading was read from; scenes and answers bring their own.
        generic: The generic prompt's reading, for relative attention; of a reading only.
        before: The reading before re-attention; of a reading only.
        model: The model of an answer, to read it again at every layer, with the generic prompt.
        truth: The true place of the thing, if that is known.
        lens: The words that each cell would say (`probe.logit_lens`), to click a cell and see them.
        maps: Further maps of the same cells by their names, such as a word lens.

    Raises:
        ValueError: if a reading comes without its video, the readings do not fit together, an
            answer that was loaded comes without its model, or something is given that has no use.
    """
    if not isinstance(seen, Reading) and any((video, generic, before)):
        kind = type(seen).__name__
        raise ValueError(f"video, generic and before belong to a reading, not to this {kind}")
    if not isinstance(seen, Answer) and model is not None:
        raise ValueError("a model is given to read an answer again; ask it for other readings")
    more = {"truth": truth, "lens": lens, "maps": None if maps is None else dict(maps)}
    given = {name: value for name, value in more.items() if value is not None}
    if isinstance(seen, Scene):
        return replace(seen, **given)
    if isinstance(seen, Answer):
        view = None if model is None else model.watch(seen.video)
        return replace(show_answer(seen, view), **given)
    if video is None:
        raise ValueError("a reading holds no pictures; give the video it was read from, too")
    earlier = None
    if before is not None:
        earlier = ShownQuestion(before, generic, chosen=choose_grounding_token(before))
    question = ShownQuestion(seen, generic, chosen=choose_grounding_token(seen), before=earlier)
    return Scene(video, (question,), title=seen.prompt.question, **given)


def ask_questions(
    view: View,
    *questions: str,
    learning: Learning | None = None,
    generic: str = GENERIC,
    truth: Tube | None = None,
    max_new_tokens: int | None = None,
    lens: LogitLens | None = None,
) -> Scene:
    """Ask questions about a video, and make the scene that shows where each token looks.

    Args:
        view: The video as the model sees it.
        questions: The questions, each asked on its own.
        learning: How to learn a latent prompt for each question, to compare before and after.
        generic: The prompt over whose maps relative attention is taken.
        truth: The true place of the thing, if that is known.
        max_new_tokens: Most tokens of the answer that the model writes to each question, whose
            tokens are shown, too; None for no answer.
        lens: The words that each cell would say (`probe.logit_lens`), to click a cell and see them.

    Raises:
        ValueError: for an empty, too long or unsafe question, or none.
    """
    if not questions:
        raise ValueError("there is no question to ask; give at least one")
    *asked, base = view.read(*questions, generic)
    bases = [base] * len(asked)
    if max_new_tokens is not None:
        asked = [generate(view, text, max_new_tokens=max_new_tokens) for text in questions]
        # After the generic prompt the same answer is read, so that its tokens have counterparts.
        said = [reading.prompt.answer_ids or None for reading in asked]
        bases = view.read([generic] * len(asked), answer=said)
    shown = [
        ShownQuestion(reading, base, chosen=choose_grounding_token(reading))
        for reading, base in zip(asked, bases, strict=True)
    ]
    if learning is not None:
        views = learning.prompted(view, questions, generic)
        shown = [_compare(*pair) for pair in zip(shown, views, strict=True)]
    return Scene(view.video, tuple(shown), questions[0], view.model, truth=truth, lens=lens)


def _compare(plain: ShownQuestion, prompted: View) -> ShownQuestion:
    prompt = plain.reading.prompt
    # The same answer is read after both, so that each of its tokens can be compared.
    (after,) = prompted.read(prompt.question, answer=prompt.answer_ids or None)
    return ShownQuestion(after, plain.generic, chosen=choose_grounding_token(after), before=plain)
