"""Adapters: LoRA weights that are added to a model's own, put in place by peft and never merged.

Merging would round the sum of both to the number type of the weights, and answers would be those of
another model. Left where peft puts them, modules keep their names, and a pass computes what peft's
own does, bit for bit.
"""

import hashlib
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download

from probe.engine.model_names import suggest_folder
from probe.engine.opening import ADAPTER, ADAPTER_WEIGHTS, explain_failures, first_line
from probe.engine.stored_weights import check_plain, read_header
from probe.files import read_json

FROM_FILES = "LORA"
"""The kind of adapter that is read from files, by peft's name; DoRA and rsLoRA are of it."""

UNREADABLE = {
    "alora_invocation_tokens": "works only after certain words of a prompt",
    "layer_replication": "repeats layers of the model",
    "megatron_config": "needs the program that it was trained with",
}
"""Settings of LoRA under which the model is no longer the one that is read here, and the reason."""

OUTSIDE = frozenset({"XLORA", "POLY", "CPT", "ADAPTION_PROMPT"})
"""Kinds of adapters, by peft's names, whose work is partly done around the model and not in it."""


STORAGE = frozenset(
    {"4bit", "8bit", "awq", "bf16", "bnb", "fp16", "fp8", "gptq", "hf", "int4", "int8", "unsloth"}
)
"""Words in the name of a copy of a model that say how it is stored, and not which one it is."""


@dataclass(frozen=True)
class Adapter:
    """An adapter as an answer names it."""

    name: str
    """Its folder, or its name on the hub; for a model in memory the names of those that are active,
    as peft knows them."""

    content: str | None = None
    """Hash of its files; None for a model in memory, whose weights it is among."""


@dataclass(frozen=True)
class AdapterFiles:
    """The files of an adapter, checked, whose weights are not in a model yet."""

    adapter: Adapter
    folder: Path
    settings: Mapping[str, Any]
    """The content of its `adapter_config.json`."""

    @property
    def base(self) -> str:
        """The name of the model that it was trained on; empty if it does not say."""
        return str(self.settings.get("base_model_name_or_path") or "")

    def check_base(self, model: str) -> None:
        """Compare the model that it was trained on with the one that it is given to.

        A name on the hub is a proof; a folder may have any name, so there it is only a warning.

        Raises:
            ValueError: if the model is another one.
        """
        if not self.base or _strip_storage(model) == _strip_storage(self.base):
            return
        problem = (
            f"the adapter {self.adapter.name} was trained on {self.base[:200]!r}, and this is "
            f"{model!r}"
        )
        if Path(model).exists():
            warnings.warn(
                f"{problem}; if that is another model, its answers mean nothing", stacklevel=2
            )
            return
        raise ValueError(
            f"{problem}; give the adapter's own model, or write this one's name into its "
            f"{ADAPTER} (base_model_name_or_path) if the weights are the same"
        )

    def apply(self, model: str, module: Any) -> None:
        """Put the adapter into a model, whose modules keep their names.

        Args:
            model: The model's name, for messages.
            module: The model; one without memory for its weights shows whether the adapter fits.

        Raises:
            ValueError: if the adapter is of another model or shape, or not complete.
        """
        import peft  # an extra of this package

        with self._explaining(model), _without_map(module):
            config = peft.PeftConfig.from_pretrained(str(self.folder))
            config.inference_mode = True
            empty = next(module.parameters()).is_meta
            wrapped: Any = peft.PeftModel(module, config, low_cpu_mem_usage=empty)
            found = wrapped.load_adapter(
                str(self.folder),
                "default",
                low_cpu_mem_usage=empty,
                torch_device="cpu",
                # Names that modules had in earlier versions of transformers.
                key_mapping=getattr(module, "_checkpoint_conversion_mapping", None) or {},
            )
            problems = [
                f"{len(names)} of its weights {verb}, the first {names[0]!r}"
                for verb, names in (
                    ("are missing", found.missing_keys),
                    ("have no place in this model", found.unexpected_keys),
                )
                if names
            ]
            if problems:
                raise ValueError("; ".join(problems))

    @contextmanager
    def _explaining(self, model: str) -> Iterator[None]:
        try:
            # The house has its own words for what peft warns of.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except Exception as failure:  # files can make libraries raise anything
            lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
            # The first line of a mismatch names the class alone, the second the weight.
            reason = lines[1][:300] if "size mismatch" in str(failure) else first_line(failure)
            raise ValueError(
                f"the adapter {self.adapter.name} does not fit {model}: {reason}; give the "
                f"model that it was trained on ({self.base[:200] or 'it does not say which'})"
            ) from failure


def _strip_storage(model: str) -> str:
    """Return a model's name without owner and folder, and without what says how it is stored.

    >>> _strip_storage("unsloth/Qwen2.5-VL-7B-Instruct-bnb-4bit")
    'qwen2.5-vl-7b-instruct'
    """
    words = Path(model).name.lower().split("-")
    return "-".join(word for word in words if word not in STORAGE)


def find_adapter(name: str) -> AdapterFiles:
    """Find the files of an adapter, and check them; one on the hub is downloaded.

    Raises:
        ValueError: if there is none, a file is missing or damaged, its weights are pickled, it is
            of a kind that is not read, or peft is not installed.
    """
    if find_spec("peft") is None:
        raise ValueError(
            f"the adapter {name} needs the package peft, which is not installed: "
            f"pip install 'grounding-probe[peft]'"
        )
    folder = _find_folder(name)
    settings = read_json(folder / ADAPTER)
    if not isinstance(settings, dict):
        raise ValueError(f"{folder / ADAPTER}: no settings of an adapter; download it again")
    _check_settings(name, settings)
    if not (folder / ADAPTER_WEIGHTS).exists():
        raise ValueError(
            f"{name}: no {ADAPTER_WEIGHTS} in this adapter; pickled weights are not read, since "
            f"opening them can run code: convert them to safetensors"
        )
    check_plain(name, read_header(folder / ADAPTER_WEIGHTS))
    digest = hashlib.sha256()
    for file in (ADAPTER, ADAPTER_WEIGHTS):
        digest.update(hashlib.sha256((folder / file).read_bytes()).digest())
    return AdapterFiles(Adapter(name, digest.hexdigest()), folder, settings)


def _find_folder(name: str) -> Path:
    folder = Path(name)
    if not folder.exists():
        if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") != 1:
            raise ValueError(
                f"{name}: no such folder; {suggest_folder(name)}give an adapter's folder or its "
                f"hub name"
            )
        with explain_failures(name):
            folder = Path(snapshot_download(name, allow_patterns=[ADAPTER, ADAPTER_WEIGHTS]))
    if not (folder / ADAPTER).is_file():
        raise ValueError(
            f"{name}: no {ADAPTER} in it, so this is no adapter; give the folder that "
            f"save_pretrained of peft wrote"
        )
    return folder


def _check_settings(name: str, settings: Mapping[str, Any]) -> None:
    kind = settings.get("peft_type")
    if kind != FROM_FILES:
        raise ValueError(
            f"{name}: an adapter of the kind {str(kind)[:50]!r}; only {FROM_FILES} is read from "
            f"files: put it into the model with peft, and give the model itself"
        )
    for setting, reason in UNREADABLE.items():
        if settings.get(setting) is not None:
            raise ValueError(
                f"{name}: this adapter {reason} ({setting}), which cannot be read; give another"
            )


@contextmanager
def _without_map(module: Any) -> Iterator[None]:
    """Hide from peft on which devices a model is, or it would place all weights anew.

    Raises:
        ValueError: if some weights wait in main memory or on a disk until they are used.
    """
    placed = getattr(module, "hf_device_map", None)
    if placed is None:
        yield
        return
    waiting = {"cpu", "disk"} & {str(place) for place in placed.values()}
    if "disk" in waiting or (waiting and len(set(placed.values())) > 1):
        raise ValueError(
            "some weights of the model wait in main memory or on a disk, where it cannot reach "
            "them; hold the weights in fewer bits, or use more devices"
        )
    del module.hf_device_map
    try:
        yield
    finally:
        module.hf_device_map = placed


def unwrap_adapted(module: Any) -> Any:
    """Return the model inside one of peft, its adapters left in place; any other model as it is.

    Raises:
        ValueError: if the adapter does its work around the model, where it cannot be read.
    """
    if not _is_adapted(module):
        return module
    for name, config in module.peft_config.items():
        kind = getattr(config.peft_type, "value", str(config.peft_type))
        if config.is_prompt_learning or kind in OUTSIDE:
            raise ValueError(
                f"the adapter {name!r} is of the kind {kind}, which works around the model, such "
                f"as by tokens before the prompt; only adapters inside its layers (LoRA and its "
                f"kin) are read"
            )
        if getattr(config, "alora_invocation_tokens", None) is not None:
            raise ValueError(
                f"the adapter {name!r} {UNREADABLE['alora_invocation_tokens']}, which cannot be "
                f"read; give the model without it"
            )
    return module.base_model.model


def _is_adapted(module: Any) -> bool:
    # Whoever has a model of peft has imported it, and it takes seconds to import.
    peft = sys.modules.get("peft")
    return peft is not None and isinstance(module, peft.PeftModel | peft.PeftMixedModel)


def find_active(module: Any) -> Adapter | None:
    """Find which adapters of a model in memory are active; None if there are none."""
    if (peft := sys.modules.get("peft")) is None:
        return None
    layers = [
        part
        for part in module.modules()
        if isinstance(part, peft.tuners.tuners_utils.BaseTunerLayer)
    ]
    active = {name for part in layers if not part.disable_adapters for name in part.active_adapters}
    return Adapter(", ".join(sorted(active))) if active else None
