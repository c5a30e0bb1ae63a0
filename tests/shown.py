"""Results as Jupyter shows them: their HTML, read back."""

import base64
import io
from html.parser import HTMLParser

from PIL import Image


class Elements(HTMLParser):
    """Collects the elements of a text, and the text between them."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def elements_of(html):
    """The elements of a text as pairs of name and attributes, and the text between them."""
    parser = Elements()
    parser.feed(html)
    parser.close()
    return parser.found, parser.text


def image_of(html):
    """The attributes of the only image of a text, and the picture in it."""
    found, _ = elements_of(html)
    assert {tag for tag, _ in found} <= {"img", "div", "pre"}
    [attributes] = [attributes for tag, attributes in found if tag == "img"]
    kind, _, data = attributes["src"].partition(",")
    assert kind in ("data:image/png;base64", "data:image/webp;base64")
    return attributes, Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


def drawn(figure):
    """A figure in all its colours."""
    stream = io.BytesIO()
    figure.savefig(stream, dpi=144, format="png", facecolor="white")
    return Image.open(stream).convert("RGB")
