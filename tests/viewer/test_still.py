"""The picture of a widget for places that run none, such as a code host."""

import base64
from io import BytesIO

import pytest
from PIL import Image
from staged import staged_reading, staged_video

import probe
from probe.drawing.figures import draw_token_figure
from probe.interpret.grounding_tokens import visual_activation
from probe.pictures.html import figure_as_png


def pixels(png):
    return Image.open(BytesIO(png)).convert("RGB").tobytes()


@pytest.mark.slow
def test_where_no_widget_runs_a_notebook_shows_the_grounding_and_strongest_tokens():
    video = staged_video(4, 60, 80)
    asked = staged_reading(video, ["Is", "it", "here"], layers=2, heads=2, side=4)
    data, _ = probe.show(asked, video)._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"]
    shown = pixels(base64.b64decode(data["image/png"]))
    chosen = draw_token_figure(video, asked, probe.grounding_token(asked))
    assert shown == pixels(figure_as_png(chosen))
    weakest = int(visual_activation(asked).argmin())
    assert shown != pixels(figure_as_png(draw_token_figure(video, asked, weakest)))
