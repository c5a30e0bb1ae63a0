"""Curves: yes minus no at each step of learning, and shares of a look."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from probe.pictures.style import (
    CHOSEN_COLOUR,
    QUIET_COLOUR,
    TEXT_SIZE,
    hide_upper_spines,
    require_finite,
    take_axes,
    write_title,
)


def draw_margins(ax: Any, margins: Sequence[float], title: str) -> Axes:
    """Draw the margin, yes minus no in logits, by the number of steps taken before it.

    Args:
        ax: The axes to draw on; None for a new figure.
        margins: The margin before each step.
        title: Text above the curve, cut if it is long.

    Raises:
        ValueError: if there is no step, or a margin is not finite.
    """
    if not margins:
        raise ValueError("no step was taken, so there is no margin to draw; learn with steps=1")
    require_finite("the margin", np.array(margins))
    ax = take_axes(ax)
    ax.axhline(0, color=QUIET_COLOUR, lw=0.8)
    _draw_by_step(ax, margins, "yes minus no")
    ax.margins(y=0.2)
    write_title(ax, title)
    return ax


def draw_shares(ax: Any, shares: Sequence[float], title: str) -> Axes:
    """Draw the share of a look that falls in a region, by the number of steps taken before it.

    Args:
        ax: The axes to draw on; None for a new figure.
        shares: The share before each step and after the last, 0 to 1.
        title: Text above the curve, cut if it is long.

    Raises:
        ValueError: if a share is not finite.
    """
    require_finite("the share in the region", np.array(shares))
    ax = take_axes(ax)
    _draw_by_step(ax, shares, "share in the region")
    ax.set_ylim(0, 1)
    write_title(ax, title)
    return ax


def draw_loss(ax: Any, curve: Sequence[Sequence[float]]) -> Axes:
    """Draw the loss of a training run by the number of steps taken before it.

    Args:
        ax: The axes to draw on; None for a new figure.
        curve: Pairs of step and loss.

    Raises:
        ValueError: if there is no step, or a loss is not finite.
    """
    if not curve:
        raise ValueError("no step was taken, so there is no loss to draw; train for some steps")
    steps, losses = np.array(curve, dtype=float).T
    require_finite("the loss", losses)
    ax = take_axes(ax)
    ax.plot(steps, losses, color=CHOSEN_COLOUR, lw=1)
    ax.set_xlabel("steps taken", fontsize=TEXT_SIZE)
    ax.set_ylabel("loss", fontsize=TEXT_SIZE)
    ax.tick_params(labelsize=TEXT_SIZE)
    hide_upper_spines(ax)
    return ax


def _draw_by_step(ax: Axes, values: Sequence[float], label: str) -> None:
    ax.plot(range(len(values)), values, marker="o", ms=4, color=CHOSEN_COLOUR)
    ax.set_xticks(range(len(values)))
    ax.set_xlabel("steps taken", fontsize=TEXT_SIZE)
    ax.set_ylabel(label, fontsize=TEXT_SIZE)
    ax.tick_params(labelsize=TEXT_SIZE)
    hide_upper_spines(ax)
