"""What a detector found, kept on disk and known again by content, not by name or date."""

import json
import uuid
import warnings
from collections.abc import Mapping, Sequence
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import numpy as np

from probe.files import write_json
from probe.video import Tube, Video

FORMAT, VERSION = "grounding-probe/detections", 1


def content_hash(video: Video) -> str:
    """A hash of what there is to search: the file or its part, a folder's images, or the array."""
    digest = sha256()
    if video.path is None:
        sampled = [*video.frames.shape, *video.indices, *video.source_times.tolist()]
        digest.update(json.dumps(sampled).encode())
        digest.update(np.ascontiguousarray(video.frames).data)
    else:
        files = sorted(video.path.iterdir()) if video.path.is_dir() else [video.path]
        for file in filter(Path.is_file, files):
            digest.update(json.dumps(file.name if video.path.is_dir() else "").encode())
            with file.open("rb") as stream:
                digest.update(file_digest(stream, "sha256").digest())
        if video.part is not None:
            digest.update(json.dumps([video.part.start, video.part.stop]).encode())
    return digest.hexdigest()


def path_of(cache: Path, key: Mapping[str, Any]) -> Path:
    """The file that a search has in a cache folder."""
    return cache / f"{sha256(json.dumps(key).encode()).hexdigest()}.json"


def keep(path: Path, key: Mapping[str, Any], tracks: Sequence[Tube]) -> None:
    """Write what was found under a name of its own, and only then under that of its key.

    Several processes may search the same video at once.
    """
    content = {
        "format": FORMAT,
        "version": VERSION,
        "key": key,
        "tracks": [track.to_dict() for track in tracks],
    }
    own = path.with_suffix(f".{uuid.uuid4().hex}")
    write_json(own, content)
    own.replace(path)


def recalled(path: Path, key: Mapping[str, Any]) -> tuple[Tube, ...] | None:
    """What was found under this key; None where nothing is kept, or nothing that can be used."""
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        expected = (FORMAT, VERSION, key)
        if (content["format"], content["version"], content["key"]) == expected:
            return tuple(Tube.from_dict(record) for record in content["tracks"])
        problem = "holds something else"
    except (ValueError, KeyError, TypeError) as failure:
        problem = f"cannot be read ({type(failure).__name__})"
    warnings.warn(f"{path}: {problem}; the detector runs again, and replaces it", stacklevel=3)
    return None
