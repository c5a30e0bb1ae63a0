"""Read scenes with a model: ask questions about a video, or read a saved answer again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from probe.engine.attention import Heatmap, assemble
from probe.engine.prompts import GENERIC
from probe.engine.readings import Reading
from probe.engine.view import View
from probe.files import read_json
from probe.grounder import look_each
from probe.grounding.config import GrounderConfig
from probe.grounding.losses import contrast, entropy, exponential
from probe.grounding.queries import Queries
from probe.grounding.reattention import Absolute, Learning, Relative, prompted_each
from probe.interpret.token_rules import AllOf, Fixed, MostActive
from probe.video import Tube
from probe.viewer.scene import Scene, ShownQuestion, choose_tokens

LOSSES = {loss.__name__: loss for loss in (exponential, contrast, entropy)}
RULES: dict[str, Callable[..., Any]] = {
    rule.__name__: rule for rule in (Absolute, Relative, MostActive, Fixed, AllOf)
}
"""The losses and rules that decide where to look, by the names that answers know them under."""


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
    shown = [ShownQuestion(reading, base, chosen=choose_tokens(reading)) for reading in asked]
    if learning is not None:
        views = learning.prompted(view, questions, generic)
        shown = [_compare(*pair) for pair in zip(shown, views, strict=True)]
    return Scene(view.video, tuple(shown), title=questions[0], model=view.model, truth=truth)


def _compare(plain: ShownQuestion, prompted: View) -> ShownQuestion:
    (after,) = prompted.read(plain.reading.prompt.question)
    return ShownQuestion(after, plain.generic, chosen=choose_tokens(after), before=plain)


def open_answer(path: Path) -> tuple[dict[str, Any], Path]:
    """Read a saved answer, and find its video: where it was, or next to the answer.

    Raises:
        ValueError: if the file is no answer, or its video is gone.
    """
    record = read_json(path)
    if not isinstance(record, dict) or not {"video", "config", "where", "when"} <= record.keys():
        raise ValueError(f"{path}: not an answer; give the answer.json of `probe ground`")
    source = record["video"]["path"]
    if source is None:
        raise ValueError(f"{path}: its video was an array and is not saved; ground a video file")
    # A folder with both may have been moved or sent to somebody.
    places = [Path(source), path.parent / Path(source).name]
    found = [place for place in places if place.exists()]
    if not found:
        raise ValueError(f"{path}: its video {source} is gone; put it next to the answer")
    return record, found[0]


def read_answer(record: Mapping[str, Any], view: View, *, truth: Tube | None = None) -> Scene:
    """Read the questions of an answer again, at every layer, and the generic prompt with them.

    An answer.json holds no attention maps. If latent prompts were learned for the answer, they are
    learned again, and the page compares before and after.

    Args:
        record: The answer, as `Answer.to_dict` or answer.json holds it.
        view: The answer's video as the answer's model sees it.
        truth: The true place of the thing, if that is known.

    Raises:
        ValueError: if the view is of other frames than the answer's, or the model reads the
            questions as other tokens than the answer's did.
    """
    if list(view.video.indices) != record["video"]["sampled_frames"]:
        raise ValueError(
            f"the answer was read from frames {record['video']['sampled_frames']}, not "
            f"{list(view.video.indices)}; give its video, with as many frames sampled"
        )
    config = _config(record["config"])
    asked = Queries(**{**record["queries"], "fallbacks": tuple(record["queries"]["fallbacks"])})
    branches = config.branches(asked)
    views = prompted_each(view, branches, config.generic)
    pairs = zip(("where", "when"), views, strict=True)
    where, when = (_read_branch(name, record, config, prompted) for name, prompted in pairs)
    if config.assembly is not None:
        # The answer's map is assembled from both frame orders; the page reads one order.
        (back,) = look_each(view.reversed(), asked, branches[:1], config)
        maps = [_answer_map(where), back.heatmap.reversed()]
        where = replace(where, heatmap=assemble(maps, config.assembly))
    return Scene(view.video, (where, when), record["query"], record["model"]["name"], record, truth)


def _read_branch(
    name: str, record: Mapping[str, Any], config: GrounderConfig, prompted: View
) -> ShownQuestion:
    """Read the question of one branch of an answer, and the generic prompt, at every layer."""
    seen, view = record[name], prompted.plain or prompted
    asked, generic = _read_with_generic(view, seen["question"], config)
    _check_tokens(asked, seen)
    plain = ShownQuestion(
        asked,
        generic,
        name,
        tuple(token["index"] for token in seen["grounding_tokens"]),
        None if config.layers_heads else _count_from_first(config.layers, view.checkpoint.depth),
        config.relative,
    )
    if prompted is view:
        return plain
    after, after_generic = _read_with_generic(prompted, seen["question"], config)
    shown = after_generic if config.prompt_generic else generic
    return replace(plain, reading=after, generic=shown, before=plain)


def _read_with_generic(view: View, question: str, config: GrounderConfig) -> list[Reading]:
    """Read the question and the generic prompt, averaged over the heads of the answer."""
    pairs = config.layers_heads
    return [reading.through(pairs) for reading in view.read(question, config.generic)]


def _answer_map(shown: ShownQuestion) -> Heatmap:
    """Compute the map of the chosen tokens in one frame order, as the answer did."""
    reading, generic = shown.reading, shown.generic
    heatmap = reading.heatmap(shown.chosen, shown.layers)
    if generic is None or not shown.relative:
        return heatmap
    # Questions differ in length, but all end in the same role tokens: count from the last.
    same_roles = [token - len(reading.tokens) for token in shown.chosen]
    return heatmap.relative_to(generic.heatmap(same_roles, shown.layers))


def _check_tokens(reading: Reading, seen: Mapping[str, Any]) -> None:
    saved = [row["token"] for row in sorted(seen["tokens"], key=lambda row: row["index"])]
    if saved != list(reading.tokens):
        raise ValueError(
            f"this model reads {seen['question']!r} as other tokens than the answer's did; "
            "give the model of the answer"
        )


def _count_from_first(layers: Sequence[int] | None, depth: int) -> tuple[int, ...] | None:
    return None if layers is None else tuple(sorted({layer % depth for layer in layers}))


def _config(saved: Mapping[str, Any]) -> GrounderConfig:
    """Make the part of an answer's configuration that decides where to look, not the span."""
    if saved["interventions"]:
        raise ValueError("the answer was given under interventions, which are not saved with it")
    layers, pairs = saved["layers"], saved["layers_heads"]
    return GrounderConfig(
        layers=None if layers is None else tuple(layers),
        layers_heads=None if pairs is None else tuple((layer, head) for layer, head in pairs),
        token=_rule(saved["token"]),
        learn_where=_learning(saved["learn_where"]),
        learn_when=_learning(saved["learn_when"]),
        **{name: saved[name] for name in ("generic", "relative", "assembly", "prompt_generic")},
        ask_whole=saved["ask_whole"],
    )


def _learning(saved: Mapping[str, Any] | None) -> Learning | None:
    if saved is None:
        return None
    if saved["loss"] not in LOSSES:
        raise ValueError(f"no loss is called {saved['loss']!r}; ground the video again")
    return Learning(
        layer=saved["layer"],
        steps=saved["steps"],
        rate=_rule(saved["rate"]),
        loss=LOSSES[saved["loss"]],
        average_last_two=saved["average_last_two"],
    )


def _rule(saved: Mapping[str, Any]) -> Any:
    """Make the rule that an answer names, with its options."""
    options = {name: value for name, value in saved.items() if name != "rule"}
    if saved["rule"] not in RULES:
        raise ValueError(f"no rule is called {saved['rule']!r}; ground the video again")
    lists = {name: tuple(value) for name, value in options.items() if isinstance(value, list)}
    return RULES[saved["rule"]](**(options | lists))
