"""The rules by which public evaluators count, as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from probe.spelling import explain_unknown


@dataclass(frozen=True)
class Ends:
    """Number of frames from the last frame of a span to its end.

    A span counts its frames up to but not including its end: 1 counts the last frame, 0 does not.
    """

    prediction: int
    truth: int


@dataclass(frozen=True)
class Protocol:
    """The counting rules of a public evaluator; `PROTOCOLS` has four, and `score` applies them.

    Under every protocol, vIoU is the box overlap summed over the compared frames in both spans,
    divided by the number of compared frames from the earlier start to the later end; a compared
    frame without a predicted box adds 0. gt_vIoU is the mean over the compared frames of the truth.
    """

    step: int | None
    """Frames 0, step, 2 step, ... are compared, and all others are dropped before spans are read.
    None: the frames that the caller sampled are compared, but spans are read from whole tubes."""

    interpolates: bool
    """True if a predicted box is filled in, on a straight line, in each frame between two others.
    The truth is taken as annotated."""

    tiou_ends: Ends
    """The ends of the spans that tIoU compares."""

    viou_ends: Ends
    """The ends of the spans within which vIoU counts frames."""

    tiou_counts_boxes: bool
    """True if the shared frames of tIoU have a box in both tubes; else they lie in both spans."""


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "tubedetr": Protocol(
            step=None,
            interpolates=False,
            tiou_ends=Ends(prediction=1, truth=1),
            viou_ends=Ends(prediction=1, truth=1),
            tiou_counts_boxes=False,
        ),
        "stcat": Protocol(
            step=1,
            interpolates=True,
            tiou_ends=Ends(prediction=1, truth=0),
            viou_ends=Ends(prediction=1, truth=0),
            tiou_counts_boxes=False,
        ),
        "hcstvg-official": Protocol(
            step=1,
            interpolates=False,
            tiou_ends=Ends(prediction=1, truth=1),
            viou_ends=Ends(prediction=1, truth=1),
            tiou_counts_boxes=True,
        ),
        "released-code": Protocol(
            step=10,
            interpolates=False,
            tiou_ends=Ends(prediction=0, truth=0),
            viou_ends=Ends(prediction=1, truth=1),
            tiou_counts_boxes=False,
        ),
    }
)
"""The rules of public evaluators, by name, and the score of a perfect prediction under each.

n is the number of frames that are compared, all of which have boxes. For a truth that lies
between two compared frames (n = 0), vIoU and gt_vIoU are 0.

- `tubedetr` (datasets/hcstvg_eval.py): **1**. The annotation stores its end as exclusive and the
  prediction ends at its last frame + 1. tIoU counts source frames, vIoU the sampled ones.
- `stcat` (also CG-STVG, TA-STVG): **(n - 1) / n**, tIoU and vIoU alike. The annotation stores its
  last frame, which is then read as an exclusive end; the prediction ends at its last frame + 1.
  So the last true frame lowers the score of every prediction that reaches it.
- `hcstvg-official` (eval_hcvg.py): **1**. Both ends are last frames, and the frames from the
  earlier start to the later end are counted with + 1. A shared frame is one with a box in both, so
  a gap in the boxes lowers tIoU as well as vIoU.
- `released-code` (of the paper): **1 for n >= 2**. Both ends are last frames. vIoU counts them and
  is 1 for n = 1 too; tIoU takes last - first as the length, and is 0 for n = 1.
"""


def find_protocol(name: str) -> Protocol:
    """Find a protocol by its name.

    Raises:
        ValueError: if there is none of this name.
    """
    if name not in PROTOCOLS:
        raise ValueError(explain_unknown("protocol", name, PROTOCOLS))
    return PROTOCOLS[name]
