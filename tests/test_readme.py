"""The figures of README and findings are those of the committed numbers: none is copied by hand."""

import json
from pathlib import Path

import pytest

from probe.engine.families import FAMILIES, PICTURES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FINDINGS = (ROOT / "docs/findings.md").read_text(encoding="utf-8")

METHODS = {
    "**`CAUSAL`**, the default": "CAUSAL",
    "word lens, a rival that asks no question": "word lens",
    "`NOUN`": "NOUN",
    "`ENTROPY_GRADIENT`": "ENTROPY_GRADIENT",
    "`BEST`": "BEST",
    "mean of the role tokens, all layers": "mean of role tokens, raw",
    "largest track, middle half: reads neither query nor model": "largest track, middle half",
    "random track, middle half": "random track, middle half",
    "`PAPER`": "PAPER",
}
"""The rows of the table of methods, and their names in the numbers."""


def load_numbers(name):
    return json.loads((ROOT / "analyses/numbers" / f"{name}.json").read_text(encoding="utf-8"))


def write(figure):
    """A mean with its interval, as the pages have them."""
    low, high = figure["interval"]
    return f"{figure['mean']:.3f} [{low:.3f}, {high:.3f}]"


@pytest.mark.parametrize("row", METHODS)
def test_the_table_of_methods_is_measured(row):
    figures = load_numbers("causal_grounding")["table"][METHODS[row]]
    cells = [write(figures[name]) for name in ("m_viou", "m_tiou", "right_track")]
    assert f"| {row} | {' | '.join(cells)} |" in FINDINGS


@pytest.mark.parametrize(
    ("over", "under", "figure"),
    [
        ("CAUSAL", "BEST", "m_viou"),
        ("CAUSAL", "PAPER", "m_viou"),
        ("CAUSAL", "word lens", "m_viou"),
        ("CAUSAL", "word lens", "right_track"),
    ],
)
def test_the_differences_are_measured(over, under, figure):
    numbers = load_numbers("causal_grounding")["differences"]
    found = [
        one
        for one in numbers
        if (one["over"], one["under"], one["figure"]) == (over, under, figure)
    ]
    low, high = found[0]["interval"]
    assert f"{found[0]['mean']:+.3f} [{low:.3f}, {high:.3f}]" in " ".join(FINDINGS.split())


def test_nested_candidates_are_measured():
    nested = load_numbers("causal_grounding")["nested"]
    words = " ".join(FINDINGS.split())
    for name in ("CAUSAL", "NOUN", "BEST", "BEST, by size"):
        assert write(nested[name]["+ these three"]) in words


def test_presence_is_measured():
    numbers = load_numbers("presence")
    words = " ".join(FINDINGS.split())
    for score in numbers["auroc"]:
        if score != "greatest causal effect":
            assert write(numbers["auroc"][score]["all kinds"]) in words
    assert f"{numbers['threshold']['value']:+.2f}" in words


TIMES = {
    "read again": ("CAUSAL", "read again, the whole clip"),
    "interpolated, not read again": ("CAUSAL",),
    "read again, the whole clip": ("CAUSAL",),
    "time heads of other clips": ("CAUSAL",),
    "time heads of each question": ("CAUSAL",),
    "over the generic prompt, by frame": ("CAUSAL",),
    "over the generic prompt, by cell": ("CAUSAL",),
    "minus the generic prompt": ("CAUSAL",),
}
"""Ways to choose the time, and what the pages compare them with."""


def test_the_ways_to_choose_the_time_are_measured():
    numbers = load_numbers("when")
    found = {(one["figure"], one["over"], one["under"]): one for one in numbers["differences"]}
    words = " ".join(FINDINGS.split())
    for over, rivals in TIMES.items():
        for under in rivals:
            gain = found["m_tiou", over, under]
            assert f"{'+' * (gain['mean'] > 0)}{write(gain)}" in words
    for over in ("read again", "read again, boxes too"):
        assert f"+{write(found['m_viou', over, 'CAUSAL'])}" in words
    assert f"rank correlation {numbers['contrast_and_m_tiou']:.2f}, 15 heads" in words
    page = (ROOT / "docs/how-to/choose-a-preset.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if "`read-again" in line or "rival: " in line]
    table = numbers["table"].values()
    cells = {" | ".join(write(row[name]) for name in ("m_tiou", "m_viou")) for row in table}
    assert len(rows) == 6
    assert all(any(cell in row for cell in cells) for row in rows)


def test_costs_are_measured():
    numbers = load_numbers("causal_costs")
    ratios, memory = numbers["ratios"], numbers["peak_mib"]
    words = " ".join(FINDINGS.split())
    assert f"{ratios['paper']['causal']['mean']:.2f} of `PAPER`'s time" in words
    assert f"{ratios['best']['causal']['mean']:.1f} times that of `BEST`" in words
    assert f"{memory['causal'] / memory['paper']:.2f} of `PAPER`'s memory" in words


def test_the_clips_are_as_many_as_the_page_says():
    assert load_numbers("causal_grounding")["cases"] == 400
    assert load_numbers("presence")["cases"] == 400
    assert load_numbers("causal_on_organisms")["cases"] == 200
    assert "400 clips of `shapes-report-2`" in " ".join(FINDINGS.split())


def test_the_figures_of_the_readme_are_measured():
    words = " ".join(README.split())
    table = load_numbers("causal_grounding")["table"]
    for row in ("CAUSAL", "PAPER", "random track, middle half", "word lens"):
        assert write(table[row]["right_track"]) in words
    scores = load_numbers("presence")["auroc"]
    shown = [name for name in scores if write(scores[name]["all kinds"]) in words]
    assert len(shown) >= 2


def test_the_readme_counts_the_types_that_are_read():
    assert f"{len(FAMILIES)} video and {len(PICTURES)} picture types" in " ".join(README.split())
    assert f"| {len(FAMILIES)} families |" in README


def test_ways_of_the_answer_are_those_of_their_numbers():
    numbers = load_numbers("across_frames")
    drops = numbers["drop"]["all queries"]
    told = [
        ("cells to cells of other frames", 1),
        *[(way, -1) for way in drops],
    ]
    for way, place in told:
        one = drops[way][place]
        low, high = one["interval"]
        assert f"{one['mean']:.2f} [{low:.2f}, {high:.2f}]" in FINDINGS, way


def test_box_steering_is_measured():
    numbers, words = load_numbers("box_steering"), " ".join(FINDINGS.split())
    named = numbers["named"]
    told = [
        named["nothing done"],
        *(named["steered"][region] for region in ("thing", "other")),
        *(one["thing"] for way, one in named.items() if way not in ("nothing done", "steered")),
        *(one for name, one in numbers["further"].items() if name != "box in all frames"),
        *(numbers["other_seen"][way] for way in ("steered", "look set", "all else cut")),
    ]
    assert [write(one) for one in told if write(one) not in words] == []
    (gain,) = [one for one in numbers["tests"] if one["under"] == "drawn to the other"]
    assert f"+{write(gain)}" in words
    assert f"{numbers['asked']['box']} of {numbers['cases']} clips" in words


def test_concepts_that_were_never_taught_are_named_as_measured():
    numbers, words = load_numbers("concepts"), " ".join(FINDINGS.split())
    told = [row["harmonic"] for row in numbers["table"].values()]
    told += [row["unseen"] for row in numbers["without"].values()]
    assert [write(one) for one in told if write(one) not in words] == []
    assert not any(test["survives"] for test in numbers["differences"])


CARD = (ROOT / "probe/organism/weights/README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("told", [README, FINDINGS, CARD], ids=["readme", "findings", "card"])
def test_effects_of_hiding_the_video_are_those_of_their_numbers(told):
    found = load_numbers("claims")["statements"]
    hidden = found["role-carries"]["organisms"]["shipped"]
    low, high = hidden["interval"]
    assert f"{-hidden['mean']:.2f} [{-high:.2f}, {-low:.2f}]" in " ".join(told.split())
    more = found["noun-carries"]["organisms"]["shipped"]
    low, high = more["interval"]
    assert f"{more['mean']:.2f} [{low:.2f}, {high:.2f}]" in " ".join(told.split())


def test_rank_within_a_token_is_that_of_its_numbers():
    test = load_numbers("claims")["statements"]["rank-within-token"]["organisms"]["shipped"]
    low, high = test["interval"]
    assert f"{test['mean']:.3f} [{low:.3f}, {high:.3f}]" in FINDINGS


def test_the_shorter_recipe_is_as_good_as_measured():
    numbers = load_numbers("recipe_quality")
    words, card = " ".join(FINDINGS.split()), " ".join(CARD.split())
    for name in ("shipped", "short-0"):
        found = numbers["organisms"][name]
        assert all(write(found[kind]) in words for kind in ("yes or no", "open"))
        assert f"{found['yes or no']['mean']:.3f} and {found['open']['mean']:.3f}" in card
    assert numbers["verdict"]["equally_good"]["short"] is False
    assert numbers["verdict"]["ships"] == "shipped"


def test_what_prototypes_teach_is_measured():
    numbers, words = load_numbers("grouping"), " ".join(FINDINGS.split())
    told = [one for one in numbers["differences"] if "+ prototypes, wider" not in one["over"]]
    assert len(told) == 10
    assert [write(one) for one in told if write(one) not in words] == []
