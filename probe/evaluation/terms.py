"""The meaning of each figure and column of a report, in a sentence or two."""

from collections.abc import Mapping
from types import MappingProxyType

from probe.evaluation.page import Column

FIGURE_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "m_tiou": "m_tIoU",
        "m_viou": "m_vIoU",
        "viou_at_03": "vIoU@0.3",
        "viou_at_05": "vIoU@0.5",
        "m_gt_viou": "m_gt_vIoU",
        "right_track": "right track",
    }
)
"""Column headings of the figures."""

FIGURE_TERMS: Mapping[str, str] = MappingProxyType(
    {
        "m_tIoU": "When: overlap of the answered and the true time, frames in both over frames in "
        "either; mean over queries.",
        "m_vIoU": "When and where: overlap of the boxes (IoU) summed over frames that are in both "
        "times, over the frames in either; mean over queries. The main figure.",
        "vIoU@0.3": "Share of queries whose vIoU is above 0.3.",
        "vIoU@0.5": "Share of queries whose vIoU is above 0.5.",
        "m_gt_vIoU": "Where, if the time were known: overlap of the chosen track with the true "
        "boxes in the true time; mean over queries.",
        "right track": "Share of queries whose gt_vIoU is above 0.5: the right thing was chosen.",
        "95 % interval": "Where the figure would lie for other queries of this kind (bootstrap "
        "over queries; Wilson's interval for the share of right tracks).",
        "chance": "Any of the candidates, each as likely, in the middle half of the clip: computed "
        "exactly, as a mean over all of them. It reads neither the model nor the query.",
        "largest track": "The candidate with the greatest area, in the middle half or the whole of "
        "the clip: guesses that read neither the model nor the query, and the rivals of every "
        "method.",
        "ceiling": "The candidate that fits the truth best, at the true time: what the proposals "
        "allow. Only a method that adds candidates of its own may lie above it.",
        "ORACLE": "The true tracks were the candidates; such a run is no measurement of finding "
        "things.",
    }
)
"""The meaning of the figures of tubes, and of what they are compared with."""

PRESENCE_TERMS: Mapping[str, str] = MappingProxyType(
    {
        "AUROC": "How often a present thing gets a greater margin than an absent one; 50 is "
        "chance. Each absent query is wrong in one way, which the columns after it name.",
        "AURC": "Mean risk if only the surest queries are answered, over all shares of them. The "
        "risk is 1 - vIoU, and 1 for an absent thing; less is better.",
        "least AURC": "The least AURC of any order of these answers: what remains above it is the "
        "fault of the margins.",
        "says yes to": "Share of all queries, present and absent, with a margin above 0, and the "
        "risk of answering these alone.",
        "ECE": "Expected calibration error: how far the stated probability of yes (sigmoid of the "
        "margin) is from how often it is true; 0 is best.",
        "Brier": "Mean squared distance of the stated probability from what is true (0 or 1); 0 is "
        "best. Present and absent queries count as often as they are in the run.",
    }
)
"""The meaning of the figures of presence."""


def make_columns(terms: Mapping[str, str], *names: str) -> tuple[Column, ...]:
    """Make columns of numbers, each with its meaning if there is one."""
    return tuple(Column(name, terms.get(name, "")) for name in names)
