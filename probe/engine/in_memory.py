"""A model that somebody has loaded: taken out of what it is wrapped in, and checked.

The module itself is used and no second one is made: it stays on its devices and in its number type,
quantized or not, with the adapters that it has.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

from nnsight import Envoy
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import Pipeline, PretrainedConfig, PreTrainedTokenizerBase
from transformers.models.auto import processing_auto

from probe.engine.adapters import unwrap_adapted
from probe.engine.blank_video import check_grid
from probe.engine.chat_templates import set_template
from probe.engine.checkpoint import Checkpoint
from probe.engine.families import family_of
from probe.engine.processors import check_processor
from probe.engine.stored_weights import refuse_broken

PROCESSOR = "probe.load(module, processor=AutoProcessor.from_pretrained(...))"
"""The call by which a model in memory is given."""

WRAPPERS = ("module", "_orig_mod")
"""Names under which a wrapper holds the model and nothing else: those of `DataParallel` and its
kin, and of `torch.compile`."""

SPARE_WORDS = 128
"""Most words that a tokenizer may have beyond those of the model: some processors add marks that
they never write. One that is written all the same is refused where it is."""


def open_module(
    given: Any, processor: Any, chat_template: str | Path | None = None
) -> tuple[str, Checkpoint]:
    """Check a model in memory with its processor, and return it as a checkpoint with its name.

    The name is the folder or the name on the hub that it was loaded from, else that of its class.

    Args:
        given: The model, or what it is wrapped in.
        processor: The processor.
        chat_template: File or text of the template that takes the place of the processor's own.

    Raises:
        ValueError: if one of them is something else, they do not belong together, or the model is
            of no family that is read.
    """
    module = unwrap(given)
    _refuse_other_objects(module)
    family = _find_family(module)
    _refuse_other_processors(module, processor)
    name = str(getattr(module.config, "_name_or_path", "") or type(module).__name__)
    module = getattr(module, family.part) if family.part else module
    config = module.config
    _refuse_out_of_reach(name, module)
    # A copy, since the user's own keeps its template.
    processor = copy(processor)
    set_template(processor, chat_template)
    check_processor(name, processor, config, family)
    checkpoint = Checkpoint(module, processor, family)
    _check_parts(checkpoint)
    refuse_waiting(name, checkpoint)
    _check_words(name, checkpoint)
    refuse_broken(name, module)
    return name, checkpoint


def unwrap(given: Any) -> Any:
    """Return the model inside what it is wrapped in, such as `PeftModel` or `DataParallel`.

    Raises:
        ValueError: if an adapter does its work around the model.
    """
    while True:
        inner = given._module if isinstance(given, Envoy) else unwrap_adapted(given)
        if inner is given and isinstance(given, nn.Module):
            children = dict(given.named_children())
            if len(children) == 1 and not hasattr(type(given), "config_class"):
                inner = next((children[name] for name in WRAPPERS if name in children), given)
        if inner is given:
            return given
        given = inner


@contextmanager
def freezing(module: nn.Module) -> Iterator[None]:
    """Let nothing in a model ask for gradients but what is added to it later.

    If the block refuses the model, it is left as it was.
    """
    modes = [(part, part.training) for part in module.modules()]
    learning = [weight for weight in module.parameters() if weight.requires_grad]
    module.eval().requires_grad_(False)
    try:
        yield
    except ValueError:
        for part, mode in modes:
            part.training = mode
        for weight in learning:
            weight.requires_grad_(True)
        raise
    # The hook that training with adapters puts on the embeddings, by which each pass would keep a
    # graph.
    disable = getattr(module, "disable_input_require_grads", None)
    if disable is not None and getattr(module, "_require_grads_hooks", None):
        disable()


def describe_quantization(module: Any) -> str | None:
    """Return the bits or the method in which the weights of a model are held; None for all bits."""
    about = getattr(module.config, "quantization_config", None)
    if about is None:
        return None
    settings = about if isinstance(about, Mapping) else vars(about)
    if settings.get("load_in_4bit") or settings.get("_load_in_4bit"):
        return "4bit"
    if settings.get("load_in_8bit") or settings.get("_load_in_8bit"):
        return "8bit"
    method = settings.get("quant_method")
    return str(getattr(method, "value", method))


def _refuse_other_objects(given: Any) -> None:
    """Say of an object that is no model what it is, and what to give in its place.

    Raises:
        ValueError: if it is none.
    """
    for is_one, problem in OTHER_OBJECTS:
        if is_one(given):
            raise ValueError(problem(given))
    if not isinstance(given, nn.Module):
        raise ValueError(
            f"a checkpoint is given by its folder or its name on the hub, and a model in memory as "
            f"a module with its processor; found {type(given).__name__}"
        )
    if not isinstance(getattr(given, "config", None), PretrainedConfig):
        raise ValueError(
            f"{type(given).__name__} has no configuration of transformers (.config), by which its "
            f"family is known; give a model of transformers: {PROCESSOR}"
        )


def _is_state(given: Any) -> bool:
    return isinstance(given, Mapping) and any(isinstance(one, Tensor) for one in given.values())


def _is_processor(given: Any) -> bool:
    return hasattr(given, "tokenizer") or isinstance(given, PreTrainedTokenizerBase)


OTHER_OBJECTS: tuple[tuple[Callable[[Any], bool], Callable[[Any], str]], ...] = (
    (
        lambda given: isinstance(given, type) and issubclass(given, nn.Module),
        lambda given: (
            f"{given.__name__} is a class; give a model of it, with its processor: {PROCESSOR}"
        ),
    ),
    (
        lambda given: isinstance(given, Pipeline),
        lambda given: (
            f"{type(given).__name__} is a pipeline; give what is in it: "
            "probe.load(pipe.model, processor=pipe.processor)"
        ),
    ),
    (
        lambda given: isinstance(given, PretrainedConfig),
        lambda given: (
            f"{type(given).__name__} is a configuration and has no weights; give the "
            f"model, with its processor: {PROCESSOR}"
        ),
    ),
    (
        _is_state,
        lambda given: (
            f"a table of {len(given)} weights is not a model; load them into one "
            f"(load_state_dict), and give that with its processor: {PROCESSOR}"
        ),
    ),
    (
        lambda given: not isinstance(given, nn.Module) and _is_processor(given),
        lambda given: (
            f"{type(given).__name__} reads no video by itself; the model comes first: {PROCESSOR}"
        ),
    ),
)
"""Objects that are taken for a model, each with the sentence that says what to give."""


def _refuse_other_processors(module: Any, processor: Any) -> None:
    """Say of an object that is no processor what to give in its place.

    Raises:
        ValueError: if it is none.
    """
    remedy = f"give the processor that belongs to the model: {PROCESSOR}"
    kind, name = type(module).__name__, type(processor).__name__
    if processor is None:
        raise ValueError(f"{kind} is in memory without its processor; {remedy}")
    if isinstance(processor, str | Path):
        raise ValueError(
            f"the processor is given as {str(processor)!r}; give the object: "
            f"AutoProcessor.from_pretrained({str(processor)!r})"
        )
    if isinstance(processor, PreTrainedTokenizerBase):
        raise ValueError(f"{name} is a tokenizer, which reads no pictures; {remedy}")
    if getattr(processor, "tokenizer", None) is None or not callable(processor):
        raise ValueError(f"{name} is no processor of text and video; {remedy}")
    classes: Any = vars(processing_auto)["PROCESSOR_MAPPING_NAMES"]
    own = classes.get(module.config.model_type)
    others = [family for family, found in classes.items() if found == name and found != own]
    # A class of the user's own may do what that of the family does.
    known = {one.__name__ for one in inspect.getmro(type(processor))}
    if own is not None and others and own not in known:
        raise ValueError(
            f"{name} is the processor of {' and '.join(sorted(others))}, and {kind} is a model of "
            f"{module.config.model_type}; {remedy}"
        )


def _find_family(module: Any) -> Any:
    config, kind = module.config, type(module).__name__
    if not any(hasattr(config, part) for part in ("vision_config", "thinker_config")):
        raise ValueError(
            f"{kind} ({config.model_type}) reads text alone; give a model of video or pictures, "
            f"such as AutoModelForImageTextToText.from_pretrained(...) gives"
        )
    return family_of(config.model_type)


def _refuse_out_of_reach(name: str, module: nn.Module) -> None:
    """Refuse weights that are not here, and passes that are not those of the modules.

    Raises:
        ValueError: if there are any.
    """
    divided = any("_fsdp_wrapped_module" in part._modules for part in module.modules())
    if divided or any(isinstance(weight, DTensor) for weight in module.parameters()):
        raise ValueError(
            f"{name}: its weights are divided among processes; give a model whose weights are "
            f"whole, on one device or several"
        )
    waiting = next(_find_missing_weights(module), None)
    if waiting is not None:
        raise ValueError(
            f"{name}: the weight {waiting!r} is on the device meta, without a number in it; load "
            f"the weights (from_pretrained) first"
        )
    for part, inner in module.named_modules():
        if inner._compiled_call_impl is not None:
            raise ValueError(
                f"{name}: {part or 'the model'} was compiled in place (.compile()), where no value "
                f"inside can be read; give a model that is not, or torch.compile(model)"
            )
    if "_original_forward" in vars(module):
        raise ValueError(
            f"{name}: accelerate computes this model in another number type than its own; give "
            f"accelerator.unwrap_model(model, keep_fp32_wrapper=False)"
        )


def refuse_waiting(name: str, checkpoint: Checkpoint) -> None:
    """Refuse a model whose first weights wait in main memory or on a disk until they are used.

    Raises:
        ValueError: if they do.
    """
    for part in (checkpoint.module, checkpoint.decoder):
        # nnsight sends what enters a part to the device of its first weight.
        first, weight = next(part.named_parameters())
        if weight.is_meta:
            raise ValueError(
                f"{name}: the weight {first!r} waits in main memory or on a disk until it is used, "
                f"where no pass can begin; hold the weights in fewer bits, or use more devices, so "
                f"that at least the vision tower and the embeddings are on one"
            )


def _find_missing_weights(module: nn.Module) -> Iterator[str]:
    """Yield the weights that have no numbers and that no hook of accelerate brings when needed."""
    for path, part in module.named_modules():
        if hasattr(part, "_hf_hook"):
            continue
        for name, weight in part.named_parameters(recurse=False):
            if weight.is_meta:
                yield f"{path}.{name}"


def _check_parts(checkpoint: Checkpoint) -> None:
    """Refuse a class of a known family that lacks the decoder or the head.

    Raises:
        ValueError: if it does.
    """
    module, family = checkpoint.module, checkpoint.family
    lacking = ""
    try:
        checkpoint.decoder.layers[0]
    except (AttributeError, IndexError, TypeError):
        lacking = f"{family.language_model}.layers"
    if not lacking and module.get_output_embeddings() is None:
        lacking = "a head that writes words"
    if lacking:
        raise ValueError(
            f"{type(module).__name__} has no {lacking}, so it is not the whole of a "
            f"{family.model_type} model; give what AutoModelForImageTextToText loads"
        )


def _check_words(name: str, checkpoint: Checkpoint) -> None:
    """Refuse a processor whose words, or whose marks for pictures, are not those of the model.

    Raises:
        ValueError: if it is one.
    """
    table = checkpoint.module.get_input_embeddings()
    known, written = table.weight.shape[0], len(checkpoint.processor.tokenizer)
    # A model may know more: tables are often padded to a round number.
    if written > known + SPARE_WORDS:
        raise ValueError(
            f"{name}: the tokenizer writes {written} words, but the model knows {known}; give the "
            f"processor that belongs to the model"
        )
    check_grid(checkpoint)
