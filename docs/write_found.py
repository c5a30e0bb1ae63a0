"""Write what was found, from the committed numbers: `python docs/write_found.py`.

The page is `found.md.j2`, which has expressions in the place of figures: none is copied by hand.
`PARTS` of other pages are written in the same way, between two marks; the rest is theirs.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jinja2

from probe.files import read_json

DOCS = Path(__file__).parent
NUMBERS = DOCS.parent / "analyses/numbers"
PAGE = DOCS / "found.md"

PARTS = (
    (DOCS.parent / "README.md", "found_readme.md.j2"),
    (DOCS / "findings.md", "found_models.md.j2"),
    (DOCS / "findings.md", "found_responses_line.md.j2"),
    (DOCS / "how-to/pretrain-on-pairs.md", "found_pairs.md.j2"),
    (DOCS / "how-to/response-maps.md", "found_responses.md.j2"),
    (DOCS.parent / "probe/organism/things/weights/README.md", "things_card.md.j2"),
)
"""Pages with a part from the numbers, and its template."""

VERDICTS = ("holds", "not shown", "opposite")
"""Verdicts on a statement, from above 0 to below."""

BEGIN, END = "<!-- begin: {} by python docs/write_found.py -->\n", "<!-- end -->\n"


def load(name: str) -> Any:
    """Load the numbers of a script."""
    return read_json(NUMBERS / f"{name}.json")


def write_share(one: Any) -> str:
    """Write a mean with its interval."""
    low, high = one["interval"]
    return f"{one['mean']:.3f} [{low:.3f}, {high:.3f}]"


def write_gain(one: Any, digits: int = 3) -> str:
    """Write a difference with its interval."""
    low, high = one["interval"]
    return f"{one['mean']:+.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def write_difference(numbers: Any, over: str, under: str, figure: str) -> str:
    """Write one of the differences that a script has stored."""
    (found,) = [
        one
        for one in numbers["differences"]
        if (one["over"], one["under"], one["figure"]) == (over, under, figure)
    ]
    return write_gain(found)


def write_statement(name: str, digits: int = 3) -> str:
    """Write the difference of a statement on the shipped organism."""
    return write_gain(load("claims")["statements"][name]["organisms"]["shipped"], digits)


def write_elsewhere(*names: str) -> str:
    """Say of statements how often each verdict falls on the trained organisms not shipped."""
    claims, others = load("claims"), list_others()
    said = []
    for name in names:
        found = claims["statements"][name]["organisms"]
        counts = Counter(found[other]["verdict"] for other in others)
        # In one order, so that lines of the page can be compared.
        kinds = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]]
        said.append(f"`{name}` {', '.join(kinds)} (shipped: {found['shipped']['verdict']})")
    return f"*On {write_count(len(others), 'other organism')}*: {'; '.join(said)}."


def list_others() -> list[str]:
    """List the trained organisms that are not shipped."""
    organisms = load("claims")["organisms"].items()
    return [name for name, one in organisms if name != "shipped" and one["recipe"] != "control"]


def write_holds(name: str) -> str:
    """Say on how many of the trained organisms a statement holds."""
    counts = load("claims")["statements"][name]["trained"]
    return f"{counts['holds']} of {sum(counts.values())}"


def write_without_training() -> str:
    """Say which statements hold on random weights, too, and why; "" if these are not measured."""
    claims = load("claims")
    if (means := claims["means"].get("untrained")) is None:
        return ""
    found = claims["statements"].items()
    same = [name for name, one in found if one["organisms"]["untrained"]["verdict"] == "holds"]
    told = {
        name: f"{means[key]:.3f}"
        for name, key in (
            ("cause", "CAUSAL, right"),
            ("random", "random track, right"),
            ("attention", "mean of role tokens, right"),
            ("lens", "word lens, right"),
            ("asked", "fixed, on track"),
            ("other", "fixed, on another"),
        )
    }
    return (
        f"**A statement that holds on random weights, too, says nothing of learning**: here "
        f"{', '.join(f'`{name}`' for name in same) or 'none'}. There the right track is found by "
        f"cause in {told['cause']}, at random in {told['random']}, by attention in "
        f"{told['attention']}, by the lens in {told['lens']}: a rival below chance is easily "
        f"beaten, so read `cause-over-chance` first. The strongest cell of the best fixed token "
        f"lies on the thing asked about in {told['asked']} and on another thing in "
        f"{told['other']}: things catch the eye without any training, so read "
        f"`role-looks-at-what-is-asked` and not `role-looks`."
    )


def write_agreement(name: str) -> str:
    """Say on how many statements an organism has the verdict of the shipped one, and list others.

    Args:
        name: The organism.
    """
    found = load("claims")["statements"].items()
    pairs = {
        statement: (one["organisms"]["shipped"]["verdict"], one["organisms"][name]["verdict"])
        for statement, one in found
    }
    other = {key: (mine, its) for key, (mine, its) in pairs.items() if mine != its}
    told = [f"`{key}` ({mine}, here {its})" for key, (mine, its) in other.items()]
    agreed = f"{len(pairs) - len(other)} of {len(pairs)} statements"
    return f"It has the shipped organism's verdict on {agreed}; not on {', '.join(told)}."


def write_others(name: str) -> str:
    """Write the differences of a statement on the trained organisms that are not shipped."""
    found = load("claims")["statements"][name]["organisms"]
    return ", ".join(f"{found[other]['mean']:.2f}" for other in list_others())


def write_size(name: str, sign: int) -> str:
    """Write a statement's difference on the shipped organism, of which the words say the sign.

    Raises:
        ValueError: if its sign is the other one, so that the words have to be changed.
    """
    one = load("claims")["statements"][name]["organisms"]["shipped"]
    if one["mean"] * sign < 0:
        raise ValueError(f"{name}: the words say another sign than {one['mean']:+.2f}; change them")
    low, high = sorted(sign * end for end in one["interval"])
    return f"{sign * one['mean']:.2f} [{low:.2f}, {high:.2f}]"


def write_right(key: str) -> str:
    """Write how often a method finds the right track, by organism."""
    return write_numbers([means[key] for means in load("claims")["means"].values()])


def write_each(name: str) -> str:
    """Write the difference of a statement on each organism, in their order."""
    found = load("claims")["statements"][name]["organisms"].values()
    return ", ".join(f"{one['mean']:+.3f}" for one in found)


def list_wanted() -> dict[str, Any]:
    """List what was asked of the organism of things, and what it reaches."""
    return {**load("things_answers")["lines"], **load("things_grounding")["lines"]}


def find_first_world() -> str:
    """Find the world that the first pages show, by the rule that the page of findings states."""
    wanted = list_wanted()
    named = ("yes or no", "right, proposed tracks")
    return "things" if all(wanted[name]["reached"] for name in named) else "shapes"


def write_verdict(test: Any) -> str:
    """Say whether a tested difference survives the correction; its sign is that of the number."""
    return "shown" if test["survives"] else "not shown"


def write_count(number: int, thing: str) -> str:
    """Write a number of things."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def write_numbers(numbers: Sequence[float]) -> str:
    """Write some numbers one after the other."""
    return ", ".join(f"{number:.3f}" for number in numbers)


def write_means(summaries: Sequence[Any], figure: str) -> str:
    """Write the mean of a figure in each of some summaries."""
    return write_numbers([one[figure]["mean"] for one in summaries])


def find_rows(table: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Find all rows of a table of figures, since some rows have not all of them."""
    # In their order: the first figure has most of them.
    return list(dict.fromkeys(row for rows in table.values() for row in rows))


def open_templates() -> jinja2.Environment:
    """Open the templates with what they may call."""
    page = jinja2.Environment(
        loader=jinja2.FileSystemLoader(DOCS),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, of our own numbers
    )
    page.filters |= {
        "fixed": lambda number, digits: f"{number:.{digits}f}",
        "signed": lambda number, digits: f"{number:+.{digits}f}",
    }
    page.globals |= {
        "load": load,
        "share": write_share,
        "gain": write_gain,
        "difference": write_difference,
        "statement": write_statement,
        "elsewhere": write_elsewhere,
        "holds": write_holds,
        "others": write_others,
        "agreement": write_agreement,
        "without_training": write_without_training,
        "raised": partial(write_size, sign=1),
        "lowered": partial(write_size, sign=-1),
        "right": write_right,
        "each": write_each,
        "list_wanted": list_wanted,
        "first_world": find_first_world,
        "verdict": write_verdict,
        "count": write_count,
        "list_numbers": write_numbers,
        "list_means": write_means,
        "rows_of": find_rows,
    }
    return page


def make_page() -> str:
    """Make the page: ten findings with a picture each, then every statement with its verdicts."""
    return open_templates().get_template("found.md.j2").render()


def replace_part(page: Path, template: str) -> str:
    """Make a page whose part between the marks of a template is what this renders.

    Raises:
        ValueError: if the page does not have both marks, the first of them once.
    """
    text, begin = page.read_text(encoding="utf-8"), BEGIN.format(template)
    before, _, rest = text.partition(begin)
    # A mark that was lost in editing would leave old figures on the page, in silence.
    if text.count(begin) != 1 or END not in rest:
        raise ValueError(f"{page}: no place for {template}; give it the lines {begin}{END}")
    part = open_templates().get_template(template).render()
    return before + begin + part + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(make_page(), encoding="utf-8")
    for page, template in PARTS:
        page.write_text(replace_part(page, template), encoding="utf-8")
