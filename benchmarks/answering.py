"""An answer of 32 tokens, with the look of each of them and without.

    python benchmarks/answering.py

write      the tokens alone, one after the other, after the cached video
generate   the same, and rows of attention of all tokens at all layers, from its queries and keys
"""

from comparison import BenchmarkOptions, Numbers, compare, costs, run, setting, table
from models import QUICK_FRAMES, make_noise_video, open_video_lm, shape_of

from probe.engine.answering import generate, write_tokens

QUESTION = "Describe this video in details."
TOKENS, FRAMES = 32, 20


def measure(options: BenchmarkOptions) -> Numbers:
    """Measure both, of an answer that does not end early."""
    shape = shape_of(options)
    tokens, frames = (4, QUICK_FRAMES) if options.quick else (TOKENS, FRAMES)
    model = open_video_lm(shape, options)
    view = model.watch(make_noise_video(frames, shape))
    view.read(QUESTION)  # the video is read once, before
    # A model of random weights ends its answer at any moment.
    settings = model.checkpoint.module.generation_config
    settings.eos_token_id = model.checkpoint.processor.tokenizer.vocab_size + 1
    steps = {
        "write": lambda: write_tokens(view, QUESTION, max_new_tokens=tokens),
        "generate": lambda: generate(view, QUESTION, max_new_tokens=tokens),
    }
    measured = compare(steps, options)
    written, reading = (measured[name].value for name in ("write", "generate"))
    if list(reading.prompt.answer_ids) != written:
        raise RuntimeError("both did not write the same tokens")
    return {
        **setting(options),
        "tokens": len(written),
        "visual": len(view.grid),
        "costs": costs(measured),
    }


def show(numbers: Numbers) -> str:
    """Format the costs, and their ratio to those of the tokens alone."""
    found = numbers["costs"]
    rows = [
        {
            "alternative": name,
            "seconds": one["seconds"],
            "MiB": one["peak_mib"],
            "time/write": one["seconds"] / found["write"]["seconds"],
        }
        for name, one in found.items()
    ]
    return table(rows)


if __name__ == "__main__":
    run("answering", measure, show)
