"""Hashes of a model in memory, of which there are no files to be hashed."""

import hashlib
import json
from typing import Any

import torch
from torch import Tensor, nn

CHUNK = 2**20
"""Words of 8 bytes that are hashed at once; more would need much memory next to the weights."""

FACTOR = -7046029254386353131
"""An odd number whose bits look random: 2^64 over the golden ratio, as Knuth's hash has it."""

SAMPLED = 64
"""Numbers of each weight, evenly spread, by which `mark_module` notices most changes."""


def hash_module(name: str, module: nn.Module) -> str:
    """Return a hash of all weights as they are now; any change of one gives another.

    Costs one pass over the weights, on the devices where they are: seconds for a 7B on a CPU. It
    tells states apart that training or chance made, and is no proof against somebody's intent.

    Raises:
        ValueError: if some weights wait on a disk or in main memory until they are used.
    """
    digest = hashlib.sha256()
    # Of quantized weights, too, what their codes are multiplied with is in here, and only here.
    for part, weight in module.state_dict().items():
        if not isinstance(weight, Tensor):
            continue
        if weight.is_meta:
            raise ValueError(
                f"{name}: the weight {part!r} waits in main memory or on a disk until it is used, "
                f"so this model has no fingerprint; load it so that its devices hold all of it"
            )
        about = [part, str(weight.dtype), list(weight.shape), _sum_words(weight)]
        digest.update(json.dumps(about).encode())
    return digest.hexdigest()


def mark_module(module: nn.Module) -> str:
    """Return a mark that changes when weights are changed, without reading all of them.

    It says where each weight lies, how often torch saw it change, and a sample of its numbers. One
    change escapes it: that of a few numbers through `.data`, which torch does not count.
    """
    digest = hashlib.sha256()
    for part, weight in module.state_dict().items():
        if not isinstance(weight, Tensor) or weight.is_meta:
            continue
        # Weights made in inference mode have no counter.
        changes = None if weight.is_inference() else weight._version
        digest.update(json.dumps([part, weight.data_ptr(), changes]).encode())
        # A merged adapter is added through `.data`: to all numbers of a weight, so to the sample.
        flat = weight.detach().reshape(-1)
        sample = flat[:: max(1, len(flat) // SAMPLED)].contiguous().view(torch.uint8)
        digest.update(sample.cpu().numpy().tobytes())
    return digest.hexdigest()


def _sum_words(weight: Tensor) -> int:
    """Sum the bits of a weight as whole numbers of 64 bits, each times an odd number of its place.

    Sums of whole numbers wrap around and have no order, so every device gives the same.
    """
    flat = weight.detach().contiguous().flatten().view(torch.uint8)
    total = 0
    for start in range(0, len(flat), 8 * CHUNK):
        piece = flat[start : start + 8 * CHUNK]
        padded = nn.functional.pad(piece, (0, -len(piece) % 8))
        # A copy, because numbers of 8 bytes must begin at a multiple of 8.
        words = padded.clone().view(torch.int64)
        places = torch.arange(start // 8, start // 8 + len(words), device=words.device)
        total += int((words * ((2 * places + 1) * FACTOR)).sum())
    return total % 2**64


def hash_processor(processor: Any) -> str:
    """Return a hash of a processor's settings and of its tokenizer's words."""
    tokenizer = processor.tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        words = json.dumps(tokenizer.get_vocab(), sort_keys=True)
    else:
        words = backend.to_str()
    digest = hashlib.sha256(processor.to_json_string().encode())
    digest.update(words.encode(errors="surrogatepass"))
    return digest.hexdigest()
