"""A video language model: `load` opens a checkpoint, `watch` shows it a video."""

import warnings
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from probe.engine.adapters import Adapter, find_active
from probe.engine.checkpoint import Checkpoint
from probe.engine.chunks import divide_video
from probe.engine.costs import check_length, tell_cost
from probe.engine.decoder import Decoder
from probe.engine.description import ModelDescription, describe_checkpoint
from probe.engine.fingerprint import KnownFingerprint
from probe.engine.in_memory import describe_quantization, freezing, open_module
from probe.engine.model_files import ModelFiles, OpeningOptions, find_model
from probe.engine.model_names import ORGANISM, SHIPPED
from probe.engine.opening import BEST_DEVICE
from probe.engine.pixels import choose_pixels
from probe.engine.view import View
from probe.video import Sampling, Video, read_video


@dataclass(frozen=True, eq=False)
class VideoLM:
    """A checkpoint ready to be shown videos."""

    name: str
    """Its identifier or folder."""

    revision: str | None
    """The revision asked for, or the commit that the hub resolved it to."""

    decoder: Decoder
    """The passes through it."""

    quantized: str | None = None
    """The bits or the method in which its weights are held, such as "4bit"; None for all they
    have."""

    adapter: Adapter | None = None
    """The adapter in it; None if there is none."""

    in_memory: bool = False
    """True if somebody else has loaded it: files by its name may hold other weights."""

    converted: str | None = None
    """The number format that its weights were brought to when they were read, such as "4bit" or
    "bfloat16"; None for the one that its files are meant for."""

    @property
    def checkpoint(self) -> Checkpoint:
        """The model with its processor."""
        return self.decoder.checkpoint

    def __repr__(self) -> str:
        about = self.identity
        return f"VideoLM({self.name}: {about['family']}, {self.depth} layers, {about['dtype']})"

    @property
    def is_shipped(self) -> bool:
        """True for a model that comes with the package, which knows one drawn world alone."""
        return self.name in SHIPPED

    @property
    def identity(self) -> dict[str, str | int | None]:
        """The plain values by which an answer names its model."""
        return {
            "name": self.name,
            "revision": self.revision,
            "family": self.checkpoint.family.model_type,
            "dtype": str(self.checkpoint.dtype).removeprefix("torch."),
            "layers": self.depth,
            "quantized": self.quantized,
            "adapter": None if self.adapter is None else self.adapter.name,
            "adapter_content": None if self.adapter is None else self.adapter.content,
            "weights": "in memory" if self.in_memory else None,
            "pixels": choose_pixels(self.checkpoint.settings, self.checkpoint.pixels),
        }

    # Not a field: a copy with another adapter has to find its own.
    @cached_property
    def known_fingerprint(self) -> KnownFingerprint:
        """The hash of weights, files and adapter, computed once; `read` returns it."""
        return KnownFingerprint(self)

    def identify_for(self, view: View) -> dict[str, str | int | None]:
        """Return the identity as it is for a view: pictures may keep other pixels than videos."""
        checkpoint = view.checkpoint
        return {**self.identity, "pixels": choose_pixels(checkpoint.settings, checkpoint.pixels)}

    @property
    def depth(self) -> int:
        """The number of decoder layers."""
        return self.checkpoint.depth

    @property
    def preferred_frames(self) -> Sampling:
        """The number of frames to sample for this model, unless there is a reason for another.

        A `FrameRate` where its processor says how many each second has; `read_video` takes both.
        """
        return self.checkpoint.preferred_frames

    def watch(self, video: Video | str | Path) -> View:
        """Show the model a video; the vision tower runs once, here.

        Args:
            video: The video; or its file or folder, of which as many frames are sampled as the
                model prefers.

        Raises:
            ValueError: if the video has more frames than fit in the model's context, or the
                model's visual tokens are not as many as its family's grid has cells.
            RuntimeError: if somebody has put the model into training mode.
        """
        if self.checkpoint.module.training:
            raise RuntimeError(
                f"{self.name} is in training mode, where dropout changes what it reads; call "
                f"eval() on it first"
            )
        if not isinstance(video, Video):
            video = read_video(video, self.preferred_frames)
        decoder = self._decoder_for(video)
        checkpoint = decoder.checkpoint
        # Templates and processors want some text; the question is cut off again.
        inputs, tail = checkpoint.process_with_tail(video, checkpoint.writer(before=0).text("?"))
        check_length(self.name, checkpoint, video, inputs["input_ids"].shape[1])
        grid = checkpoint.grid(video, inputs)
        tell_cost(checkpoint, grid, stacklevel=2)
        prefix = decoder.read_video(inputs, tail)
        return View.of(decoder, self.name, video, grid, prefix, self.known_fingerprint)

    def describe(self, video: Video | str | Path | None = None) -> ModelDescription:
        """Describe the model in numbers: class, sizes, devices, and the cost of reading a video.

        The costs are computed by arithmetic; nothing is read.

        Args:
            video: The video, or its file or folder; by default a blank one of ten seconds, 640 x
                360 pixels and as many frames as the model prefers.

        Raises:
            ValueError: if the processor refuses the video, or it does not fit in the model.
        """
        if isinstance(video, str | Path):
            video = read_video(video, self.preferred_frames)
        module = self.checkpoint.module
        about, held = self.identity, [*module.parameters(), *module.buffers()]
        found = {
            "name": self.name,
            "dtype": about["dtype"],
            "quantized": self.quantized,
            "adapter": about["adapter"],
            # Weights on "meta" wait in main memory or on a disk.
            "place": " and ".join(sorted({str(weight.device) for weight in held})),
            "weights": sum(weight.nbytes for weight in held),
        }
        return describe_checkpoint(self.checkpoint, video, found)

    def divide(self, video: Video) -> list[Video]:
        """Divide a video of more frames than fit in the model's context; one that fits is alone.

        Raises:
            ValueError: if not even two frames fit.
        """
        return divide_video(self.checkpoint, video)

    def _decoder_for(self, video: Video) -> Decoder:
        """Return the passes with the entry of the family by which this video or picture is read."""
        checkpoint = self.checkpoint.for_video(video)
        if checkpoint is self.checkpoint:
            return self.decoder
        # A new one would wrap every module of the network again.
        decoder = copy(self.decoder)
        decoder.checkpoint = checkpoint
        return decoder


def load(  # noqa: PLR0913  each is an option of its own for whoever opens a checkpoint
    checkpoint: str | Path | Any = ORGANISM,
    processor: Any = None,
    *,
    device: str = BEST_DEVICE,
    dtype: str = "auto",
    revision: str | None = None,
    attention: str = "sdpa",
    quantize: str | None = None,
    chat_template: str | Path | None = None,
    adapter: str | Path | None = None,
    pixels: int | None = None,
) -> VideoLM:
    """Open a checkpoint, or take a model that is in memory: `load(module, processor=processor)`.

    Of a checkpoint only safetensors weights are read and no code of its own is run; its chat
    template is rendered once, in a process of its own. The weights must be exactly those that its
    configuration describes. What its processor makes of a blank video is compared with its family's
    entry, which costs milliseconds; `check_model` proves more.

    A model in memory is used itself, not copied: quantized or not, on one device or several, with
    adapters of peft or without, and inside what wraps it (`PeftModel`, `torch.compile`,
    `DataParallel`, nnsight). Two things change in it: it is put into evaluation mode and its
    weights are frozen, as `module.eval().requires_grad_(False)` does. To train it on, call
    `train()` and `requires_grad_(True)`; a view holds what the model computed before, so watch the
    video again afterwards. To keep a model as it is, give `copy.deepcopy(module)`.

    Args:
        checkpoint: Folder, or name on the Hugging Face hub; the shipped organism by default. Or a
            model of transformers that is in memory.
        processor: The processor of a model in memory; a checkpoint in files brings its own.
        device: The device of the model, such as "cpu" or "cuda"; "auto" for the best there is (the
            organism is on the CPU then), "spread" to spread the layers over all there are.
        dtype: "auto" for the type the weights were saved in (float32 for the organism), or
            "float32", "bfloat16", "float16".
        revision: Branch, tag or commit on the hub.
        attention: The implementation that computes attention while a video is read: "sdpa",
            "flash_attention_2" where flash-attn is installed, or "eager". Questions are always
            read with sdpa, also by a model in memory that has another.
        quantize: "8bit" or "4bit" to hold the weights in fewer bits, where bitsandbytes is
            installed.
        chat_template: A file of the template in which questions are written, or its text; by
            default the processor's own, without which one must be given.
        adapter: Folder or name on the hub of a LoRA adapter, which is added by peft and not merged.
        pixels: The most pixels that are kept of a frame, by which its visual tokens are counted in
            models that keep the shape of a frame; by default as many as their authors document.

    Raises:
        ValueError: if there is no such checkpoint, one of its files is missing or damaged, its
            architecture is not supported or is not built as its family's entry says, its weights
            are not safetensors, are not finite, or are not those that its configuration describes,
            its chat template is missing or runs away, an adapter is of another model, an option is
            unknown, or a package that it needs is not installed. Of a model in memory, if it is no
            such model, has no processor or another model's, or an option is given that only files
            have.
    """
    options = OpeningOptions(
        device, dtype, revision, attention, quantize, chat_template, adapter, pixels
    )
    if isinstance(checkpoint, str | Path):
        if processor is not None:
            raise ValueError(
                f"{checkpoint}: a checkpoint in files brings its own processor; leave it out, or "
                f"give the model itself: probe.load(module, processor=processor)"
            )
        return open_files(find_model(checkpoint, options))
    if isinstance(checkpoint, VideoLM):
        raise ValueError(
            f"{checkpoint.name} is open already, and needs no load; its module is at "
            f"checkpoint.module"
        )
    options.refuse_for_memory()
    name, found = open_module(checkpoint, processor, chat_template)
    choose_pixels(found.settings, pixels)  # refuses what cannot be kept to
    return _take_module(name, replace(found, pixels=pixels))


def open_files(files: ModelFiles) -> VideoLM:
    """Read the weights of a checkpoint whose files are checked, and open it.

    Raises:
        ValueError: as `load` says.
    """
    decoder = Decoder(files.read_weights())
    decoder.check()
    quantized = files.options.quantize or describe_quantization(decoder.checkpoint.module)
    return VideoLM(
        files.name,
        files.revision,
        decoder,
        quantized,
        files.adapter,
        converted=files.conversion,
    )


def _take_module(name: str, checkpoint: Checkpoint) -> VideoLM:
    module = checkpoint.module
    was_training = module.training
    with freezing(module):
        decoder = Decoder(checkpoint)
        decoder.check()
    if was_training:
        warnings.warn(
            f"{name} was in training mode; it is in evaluation mode now, and its weights are "
            f"frozen: call train() and requires_grad_(True) before you train on",
            stacklevel=3,
        )
    return VideoLM(
        # Only a shipped model goes by such a name.
        type(module).__name__ if name in SHIPPED else name,
        None,
        decoder,
        describe_quantization(module),
        find_active(module),
        in_memory=True,
    )
