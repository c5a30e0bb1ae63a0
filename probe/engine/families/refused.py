"""Families that are known and cannot be read, with the reason."""

QUERIES = (
    "each frame becomes a few queries that all see the whole of it, so that no visual token is a "
    "cell of the picture"
)
CHOSEN = (
    "some of its layers attend to tokens or blocks that an indexer chooses, so that a row of "
    "attention over all tokens does not exist"
)

REFUSED = {
    "instructblip": QUERIES,
    "instructblipvideo": QUERIES,
    "dots3_note": CHOSEN,
    "glm5_next": CHOSEN,
    "minimax_m3_vl": CHOSEN,
    "qwen4_exp": CHOSEN,
    "kimi_k25": (
        "transformers 5.23 cannot run it on a video: it averages frames over time, and then splits "
        "the result as if it had not"
    ),
    "nemotron_h_omni": (
        "its layers (Mamba, attention, experts) are built in a way of their own, which the engine "
        "does not take apart"
    ),
}
"""The reason, by the name of the architecture in `config.json`."""
