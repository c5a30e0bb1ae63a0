"""A still picture of a scene, for places that run no widget: code hosts, papers, printed pages."""

from matplotlib.figure import Figure

from probe.drawing.figures import draw_token_figure
from probe.interpret.grounding_tokens import visual_activation
from probe.viewer.scene import Scene


def draw_scene(scene: Scene) -> Figure:
    """Draw the answer of a scene, or the tokens of its first question and where they look."""
    if scene.answer is not None:
        return scene.answer.plot(truth=scene.truth)
    question = scene.questions[0]
    strongest = int(visual_activation(question.reading).argmax())
    token, *_ = (*question.chosen, strongest)
    return draw_token_figure(scene.video, question.reading, token)
