"""Outputs of notebooks: the form in which they are committed, and when two runs gave the same."""

import base64
import copy
import io
import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import numpy as np
from nbformat import NotebookNode
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter

from probe.pictures.html import encode_png

NUMBER = re.compile(r"(?<![\w.])([-+]?\d+\.\d+(?:e[-+]?\d+)?)")
"""A number with decimals. Whole numbers are counts, and text like any other."""

LAST_DIGIT = 1.01
"""Units of the last printed digit by which a number may differ: float32 rounding, other on each
CPU, can turn 0.4499 into 0.4501. A hundredth more, since decimals are not exact in binary."""

SHIFT = 1
"""Pixels by which a line or a letter may move: on another machine a label can land on the next."""

LEVELS = 32
"""Levels of 255 by which a colour may differ, after that shift. A picture of 256 colours is up to
20 levels off."""

MOST_PIXELS = 0.0005
"""Share of the pixels that may differ by more."""

WIDGET = "application/vnd.jupyter.widget-view+json"
PNG = "image/png"

ADDRESS = re.compile(r" at 0x[0-9a-f]+")
"""The place of a Python object in memory, which each run has anew."""

TABLE_ID = re.compile(r"\bT_[0-9a-f]{5}(?=[_\" {])")
"""The name that pandas makes up for a styled table."""

EMBEDDED = re.compile(r"data:image/\w+;base64,([A-Za-z0-9+/=]+)")
"""A picture inside HTML."""


# The committed form


def clean(notebook: NotebookNode) -> NotebookNode:
    """Return a run notebook as it is committed: nothing in it differs between two equal runs.

    Bars of progress, states of widgets, addresses in memory and made-up names are left out; a
    picture has 256 colours, and is never inside HTML, which some code hosts leave out.
    """
    cleaned = copy.deepcopy(notebook)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    cleaned.metadata = NotebookNode(
        kernelspec=NotebookNode(kernel), language_info=NotebookNode(name="python")
    )
    for cell in cleaned.cells:
        cell.metadata.pop("execution", None)  # times
        if cell.cell_type == "code":
            cell.outputs = [_clean_output(one, cell.id) for one in cell.outputs if not _is_bar(one)]
    return cleaned


def _is_bar(output: NotebookNode) -> bool:
    """Tell whether an output is a widget without a picture of it: a bar of progress."""
    data = output.get("data", {})
    return WIDGET in data and PNG not in data


def _clean_output(output: NotebookNode, cell: str) -> NotebookNode:
    if output.output_type == "stream":
        output.text = ADDRESS.sub("", output.text)
    data = output.get("data", {})
    data.pop(WIDGET, None)  # without its kernel a widget is an error message in some programs
    output_html = data.get("text/html", "")
    if embedded := EMBEDDED.search(output_html):
        data[PNG] = embedded[1]
        del data["text/html"]
    for kind in data:
        if kind == PNG:
            data[kind] = _reduce_colours(data[kind])
        elif isinstance(data[kind], str):
            data[kind] = TABLE_ID.sub(f"T_{cell}", ADDRESS.sub("", data[kind]))
    if "metadata" in output:
        output.metadata = NotebookNode()
    return output


def _reduce_colours(data: str) -> str:
    """Write a picture with 256 colours; one with so few is left as it is."""
    picture = _open_picture(data)
    if picture.mode == "P":
        return data
    return base64.b64encode(encode_png(picture.convert("RGB"))).decode("ascii")


def _open_picture(data: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data)))


def read_picture(data: str) -> Image.Image:
    """Read a picture as notebooks store it, in base64."""
    return _open_picture(data).convert("RGB")


# What is wrong with a run


def list_faults(notebook: NotebookNode) -> Iterator[str]:
    """List what a reader of the outputs should not see: errors and warnings."""
    for name, cell in _code_cells(notebook):
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"{name} fails: {output.ename}: {_first_line(output.evalue)}"
            elif output.get("name") == "stderr":
                yield f"{name} writes to stderr: {_first_line(output.text)!r}"


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "")


def _code_cells(notebook: NotebookNode) -> Iterator[tuple[str, NotebookNode]]:
    """Yield the code cells, and their names: the number that Jupyter shows, and the place."""
    code = 0
    for place, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "code":
            code += 1
            yield f"In [{code}] (cell {place})", cell


# Two runs


def list_differences(committed: NotebookNode, fresh: NotebookNode) -> Iterator[str]:
    """List the cells whose committed outputs are not those of a fresh run, both in clean form."""
    pairs = zip(_code_cells(committed), _code_cells(fresh), strict=True)
    for (name, before), (_, after) in pairs:
        if before.execution_count is None:
            yield f"{name}: was never run"
        for one, other in zip_longest(before.outputs, after.outputs):
            if one is None or other is None:
                count = f"{len(before.outputs)} outputs are committed, {len(after.outputs)} came"
                yield f"{name}: {count}"
                break
            yield from (f"{name}: {what}" for what in _compare_outputs(one, other))


def _compare_outputs(one: NotebookNode, other: NotebookNode) -> Iterator[str]:
    before, after = _list_parts(one), _list_parts(other)
    if before.keys() != after.keys():
        yield f"{', '.join(before)} is committed, {', '.join(after)} came"
        return
    for kind, text in before.items():
        if kind == PNG:
            found = compare_pictures(read_picture(text), read_picture(after[kind]))
        else:
            found = compare_texts(text, after[kind])
        if found:
            yield found


def _list_parts(output: NotebookNode) -> dict[str, Any]:
    """Return the parts of an output by what they are: media types, or the name of a stream."""
    if output.output_type == "stream":
        return {output.name: output.text}
    return {kind: value for kind, value in output.data.items() if isinstance(value, str)}


def compare_texts(one: str, other: str) -> str:
    """Describe the first difference of two texts; empty if only last digits of numbers differ."""
    # A pattern with a group leaves what it split at in every second place.
    before, after = NUMBER.split(one), NUMBER.split(other)
    for place, (text, new) in enumerate(zip_longest(before, after, fillvalue="")):
        if text == new or (place % 2 and _are_close(text, new)):
            continue
        return f"{_quote(one, text)} is committed, {_quote(other, new)} came"
    return ""


def _are_close(one: str, other: str) -> bool:
    """Tell whether two numbers are printed alike and differ by at most one in the last digit."""
    units = {_measure_last_digit(text) for text in (one, other)}
    return len(units) == 1 and abs(float(one) - float(other)) <= LAST_DIGIT * units.pop()


def _measure_last_digit(number: str) -> float:
    digits, _, power = number.partition("e")
    return 10.0 ** (int(power or 0) - len(digits.partition(".")[2]))


def _quote(whole: str, part: str) -> str:
    """Quote a part of a text; of a number, the line that it is in."""
    if not NUMBER.fullmatch(part):
        return repr(_first_line(part)[:60])
    line = next(line for line in whole.splitlines() if part in line)
    return f"{part} in {line.strip()[:60]!r}"


def compare_pictures(one: Image.Image, other: Image.Image) -> str:
    """Describe how two pictures differ; empty if they look the same.

    A pixel is the same if its colour is, up to a few levels, among those of the pixel of the other
    picture and its neighbours: rounding may move a letter by a pixel, and no more.
    """
    if max(abs(a - b) for a, b in zip(one.size, other.size, strict=True)) > SHIFT:
        return f"a picture of {one.size} pixels is committed, one of {other.size} came"
    width, height = np.minimum(one.size, other.size)
    before, after = (np.asarray(picture, int)[:height, :width] for picture in (one, other))
    differ = _leave_range(before, after) | _leave_range(after, before)
    if differ.mean() <= MOST_PIXELS:
        return ""
    return f"{differ.mean():.2%} of a picture's pixels differ, {MOST_PIXELS:.2%} may"


def _leave_range(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return True for each pixel of one picture with a colour that the other has nowhere near."""
    window = (2 * SHIFT + 1, 2 * SHIFT + 1, 1)
    above = one - maximum_filter(other, window)
    below = minimum_filter(other, window) - one
    return np.asarray((np.maximum(above, below) > LEVELS).any(-1))
