"""Results of detectors, kept on disk and recognised by content, not by name or date."""

import json
import warnings
from collections.abc import Mapping, Sequence
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import numpy as np

from probe.files import FileFormat, read_json, write_json
from probe.video import Tube, Video

DETECTIONS_FORMAT = FileFormat(
    "grounding-probe/detections", 1, contents="found tracks", writer="detect_tracks"
)


def hash_content(video: Video) -> str:
    """Hash all that can be searched: the file or its part, a folder's images, or the array."""
    digest = sha256()
    if video.path is None:
        sampled = [*video.frames.shape, *video.indices, *video.source_times.tolist()]
        digest.update(json.dumps(sampled).encode())
        digest.update(np.ascontiguousarray(video.frames).data)
    else:
        files = sorted(video.path.iterdir()) if video.path.is_dir() else [video.path]
        for file in filter(Path.is_file, files):
            # In a folder names give the order of the frames; the name of a video says nothing.
            digest.update(json.dumps(file.name if video.path.is_dir() else "").encode())
            with file.open("rb") as stream:
                digest.update(file_digest(stream, "sha256").digest())
        if video.part is not None:
            digest.update(json.dumps([video.part.start, video.part.stop]).encode())
    return digest.hexdigest()


def search_path(cache: Path, key: Mapping[str, Any]) -> Path:
    """Return the path of the file of a search in a cache folder."""
    return cache / f"{sha256(json.dumps(key).encode()).hexdigest()}.json"


def save_found(path: Path, key: Mapping[str, Any], tracks: Sequence[Tube]) -> None:
    """Write the tracks of a search; several processes may search the same video at once.

    Raises:
        ValueError: if the file cannot be written.
    """
    records = [track.to_dict() for track in tracks]
    write_json(path, {**DETECTIONS_FORMAT.header, "key": key, "tracks": records})


def load_found(path: Path, key: Mapping[str, Any]) -> tuple[Tube, ...] | None:
    """Read the tracks of a search; None, with a warning, if the file cannot be used.

    Returns:
        The tracks; None without a warning if there is no file.
    """
    if not path.exists():
        return None
    try:
        content = DETECTIONS_FORMAT.check(path, read_json(path))
        with DETECTIONS_FORMAT.reading(path):
            # The key in full: a file that was renamed or edited is not taken for another search.
            if content["key"] == key:
                return tuple(Tube.from_dict(record) for record in content["tracks"])
        problem = "holds another search"
    except ValueError:
        problem = "is damaged, or not a file of this version of the program"
    warnings.warn(f"{path} {problem}; the detector runs again, and replaces it", stacklevel=3)
    return None
