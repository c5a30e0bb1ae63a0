"""A quick look at what is said to be a video, before anything that takes long is loaded for it."""

import os

from probe.video.animations import is_picture
from probe.video.containers import open_pictures
from probe.video.images import image_size, list_images
from probe.video.paths import find_source


def check_source(source: str | os.PathLike[str]) -> None:
    """Refuse what is no video and no folder of images; nothing is decoded.

    Raises:
        ValueError: if there is no such file or folder, or it holds no pictures.
    """
    path = find_source(source)
    if path.is_dir():
        list_images(path)
        return
    if is_picture(path):
        image_size(path)
        return
    with open_pictures(path):
        pass
