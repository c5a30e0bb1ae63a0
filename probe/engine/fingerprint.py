"""Fingerprints: hashes by which checkpoints of the same name are told apart."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from probe.engine.chat_templates import find_template
from probe.engine.hashes import hash_module, hash_processor, mark_module
from probe.engine.model_names import SHIPPED
from probe.engine.opening import SMALL_FILES

if TYPE_CHECKING:  # a model knows its fingerprint
    from probe.engine.model import VideoLM


def fingerprint(model: "VideoLM") -> str:
    """Return a hash of all that a model's answers follow from.

    Of its weights, its small files (configuration, tokenizer, processor, template), its adapter,
    the chat template in use, which may be another than its own, and the number format that weights
    were brought to, such as 4 bits; none if they are in the one that the files are meant for.

    For a checkpoint on the hub the commit takes the place of the files; of a model in memory,
    weights, configuration and processor are hashed as they are now. This reads all weights;
    `VideoLM.known_fingerprint` remembers it.

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
    if model.converted is not None:
        digest.update(model.converted.encode())
    digest.update(find_template(model.checkpoint.processor).encode(errors="surrogatepass"))
    return digest.hexdigest()


def identify_weights(model: "VideoLM") -> str:
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


class KnownFingerprint:
    """The fingerprint of an open model, computed when it is first asked for.

    It is mutable: of a model in memory it is computed again when weights have changed. Files are
    read once, since what was read from them stays as it was.
    """

    def __init__(self, model: "VideoLM") -> None:
        """Remember nothing yet."""
        self._model = model
        self._mark: str | None = None
        self._found: str | None = None

    def read(self) -> str:
        """Return the fingerprint of the model as it is now.

        Raises:
            ValueError: if weights of a model in memory are out of reach.
        """
        model = self._model
        mark = mark_module(model.checkpoint.module) if model.in_memory else None
        if self._found is None or mark != self._mark:
            self._found, self._mark = fingerprint(model), mark
        return self._found


@contextmanager
def _find_files(model: "VideoLM") -> Iterator[Path | None]:
    """Give the folder of a model's files; None if it is on the hub or in memory."""
    if model.in_memory:
        yield None
    elif model.is_shipped:
        yield SHIPPED[model.name].folder
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
