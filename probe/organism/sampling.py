"""The frames of a drawn clip that are sampled, as `read_video` samples a file."""


def sample_middles(length: int, parts: int) -> tuple[int, ...]:
    """Return the frames in the middle of equal parts of a clip.

    Args:
        length: Frames in the clip.
        parts: Number of parts.

    >>> sample_middles(96, 4)
    (12, 36, 60, 84)
    """
    return tuple(int((i + 0.5) * length / parts) for i in range(parts))
