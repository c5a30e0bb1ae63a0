"""Fingerprints: hashes by which checkpoints of the same name are told apart."""

import hashlib
from importlib import resources
from pathlib import Path

from probe.engine.model import VideoLM


def identify_weights(model: VideoLM) -> str:
    """Return a hash of the model's weight files if they are in a folder here, else its commit."""
    if model.is_organism:
        with resources.as_file(resources.files("probe.organism") / "weights") as folder:
            return _hash_weights(folder)
    # A folder's content may change under the same name; a commit on the hub cannot.
    if Path(model.name).is_dir():
        return _hash_weights(Path(model.name))
    return str(model.revision)


def _hash_weights(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
