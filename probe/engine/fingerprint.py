"""Fingerprints: hashes by which checkpoints of the same name are told apart."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from probe.engine.chat_templates import find_template
from probe.engine.model import VideoLM
from probe.engine.opening import SMALL_FILES


def fingerprint(model: VideoLM) -> str:
    """Return a hash of all that a model's answers follow from.

    Of its weights, its small files (configuration, tokenizer, processor, template), and the chat
    template in use, which may be another than its own. For a checkpoint on the hub the commit takes
    the place of the files.
    """
    digest = hashlib.sha256(identify_weights(model).encode())
    with _find_files(model) as folder:
        if folder is not None:
            digest.update(_hash_files(folder, SMALL_FILES).encode())
    digest.update(find_template(model.checkpoint.processor).encode(errors="surrogatepass"))
    return digest.hexdigest()


def identify_weights(model: VideoLM) -> str:
    """Return a hash of the model's weight files if they are in a folder here, else its commit."""
    with _find_files(model) as folder:
        # A folder's content may change under the same name; a commit on the hub cannot.
        return str(model.revision) if folder is None else _hash_weights(folder)


@contextmanager
def _find_files(model: VideoLM) -> Iterator[Path | None]:
    """Give the folder of a model's files; None if it is on the hub."""
    if model.is_organism:
        with resources.as_file(resources.files("probe.organism") / "weights") as folder:
            yield folder
    else:
        yield Path(model.name) if Path(model.name).is_dir() else None


def _hash_weights(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _hash_files(folder: Path, patterns: Sequence[str]) -> str:
    """Hash files with their names, since the same text means another thing under another name."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in patterns for path in folder.glob(pattern)):
        digest.update(hashlib.sha256(path.name.encode(errors="surrogateescape")).digest())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
