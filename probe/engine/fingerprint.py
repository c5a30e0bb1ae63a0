"""Fingerprints: hashes by which checkpoints of the same name are told apart."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from probe.engine.chat_templates import find_template
from probe.engine.hashes import hash_module, hash_processor
from probe.engine.model import VideoLM
from probe.engine.opening import SMALL_FILES


def fingerprint(model: VideoLM) -> str:
    """Return a hash of all that a model's answers follow from.

    Of its weights, its small files (configuration, tokenizer, processor, template), its adapter,
    and the chat template in use, which may be another than its own. For a checkpoint on the hub the
    commit takes the place of the files; of a model in memory, weights, configuration and processor
    are hashed as they are now.

    Raises:
        ValueError: if weights of a model in memory are out of reach.
    """
    digest = hashlib.sha256(identify_weights(model).encode())
    if model.in_memory:
        checkpoint = model.checkpoint
        digest.update(checkpoint.config.to_json_string(use_diff=False).encode())
        digest.update(hash_processor(checkpoint.processor).encode())
    with _find_files(model) as folder:
        if folder is not None:
            digest.update(_hash_files(folder, SMALL_FILES).encode())
    if model.adapter is not None:
        digest.update(str(model.adapter.content or model.adapter.name).encode())
    digest.update(find_template(model.checkpoint.processor).encode(errors="surrogatepass"))
    return digest.hexdigest()


def identify_weights(model: VideoLM) -> str:
    """Return a hash of the model's weight files if they are in a folder here, else its commit.

    Of a model in memory, a hash of the weights as they are now: its name says only where they once
    came from.

    Raises:
        ValueError: if weights of a model in memory are out of reach.
    """
    if model.in_memory:
        return hash_module(model.name, model.checkpoint.module)
    with _find_files(model) as folder:
        # A folder's content may change under the same name; a commit on the hub cannot.
        return str(model.revision) if folder is None else _hash_weights(folder)


@contextmanager
def _find_files(model: VideoLM) -> Iterator[Path | None]:
    """Give the folder of a model's files; None if it is on the hub or in memory."""
    if model.in_memory:
        yield None
    elif model.is_organism:
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
