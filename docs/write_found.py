"""Write what was found, from the committed numbers: `python docs/write_found.py`.

A page is a template that has expressions in the place of figures: none is copied by hand. `PARTS`
of other pages are written in the same way, between two marks; the rest is theirs. Words that only
some numbers allow are refused with any others (`require`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jinja2

from probe.files import read_json

DOCS = Path(__file__).parent
ROOT = DOCS.parent
NUMBERS = ROOT / "analyses/numbers"

PAGES = (
    (DOCS / "found.md", "found.md.j2"),
    (DOCS / "findings.md", "findings.md.j2"),
    (DOCS / "how-to/choose-a-preset.md", "choose_a_preset.md.j2"),
    (ROOT / "probe/organism/weights/README.md", "shapes_card.md.j2"),
)
"""Pages that are from the numbers as a whole, and their templates."""

PARTS = (
    (ROOT / "README.md", "found_readme.md.j2"),
    (DOCS / "how-to/pretrain-on-pairs.md", "found_pairs.md.j2"),
    (DOCS / "how-to/response-maps.md", "found_responses.md.j2"),
    (ROOT / "probe/organism/things/weights/README.md", "things_card.md.j2"),
)
"""Pages with a part from the numbers, and its template."""

VERDICTS = ("holds", "not shown", "opposite")
"""Verdicts on a statement, from above 0 to below."""

ROLE_TOKENS = ("A", "SS", "IST", "ANT", ":")
"""The role tokens of the organisms, which have places from -5 to -1."""

CARRIED = 0.1
"""The greatest difference between organisms up to which a share is said to carry over."""

BEGIN, END = "<!-- begin: {} by python docs/write_found.py -->\n", "<!-- end -->\n"


def load(name: str) -> Any:
    """Load the numbers of a script."""
    return read_json(NUMBERS / f"{name}.json")


def require(allowed: bool, words: str) -> str:
    """Write nothing, where words of a template stand for what the numbers allow.

    Raises:
        ValueError: if they do not allow it, so that the words have to be changed.
    """
    if not allowed:
        raise ValueError(f"the words say {words!r}, and the numbers do not; change the template")
    return ""


def read_mean(one: Any) -> tuple[float, float, float]:
    """Read a mean and both ends of its interval, in each of the forms that scripts store."""
    if isinstance(one, list):
        mean, low, high = one
        return mean, low, high
    mean = one["mean"] if "mean" in one else one["share"]
    return mean, *one["interval"]


def write_share(one: Any, digits: int = 3) -> str:
    """Write a mean with its interval."""
    mean, low, high = read_mean(one)
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def write_gain(one: Any, digits: int = 3) -> str:
    """Write a difference with its interval."""
    mean, low, high = read_mean(one)
    return f"{mean:+.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def find_difference(numbers: Any, over: str, under: str, figure: str) -> Any:
    """Find one of the differences that a script has stored."""
    (found,) = [
        one
        for one in numbers["differences"]
        if (one["over"], one["under"], one["figure"]) == (over, under, figure)
    ]
    return found


def write_difference(numbers: Any, over: str, under: str, figure: str) -> str:
    """Write one of the differences that a script has stored."""
    return write_gain(find_difference(numbers, over, under, figure))


def write_changed(numbers: Any, over: str, under: str, figure: str, digits: int) -> str:
    """Write one of the differences of a script that stores all figures of a pair together."""
    (found,) = [
        one for one in numbers["differences"] if (one["over"], one["under"]) == (over, under)
    ]
    return write_gain(found[figure], digits)


def write_gainers(numbers: Any, figure: str) -> str:
    """Say of a script's differences how many are above 0, and which is the greatest of them."""
    found = {one["over"]: one[figure] for one in numbers["differences"]}
    best = max(found, key=lambda name: found[name][0])
    above = sum(low > 0 for _, low, _ in found.values())
    return f"{above} of {len(found)} gain; the best, {best}, {write_gain(found[best], 2)}"


def find_best_row(rows: Mapping[str, Any]) -> str:
    """Find the row of a table with the highest m_vIoU."""
    return max(rows, key=lambda name: rows[name]["m_viou"])


def write_other_rows(rows: Mapping[str, Any]) -> str:
    """Write the range of m_vIoU of all rows of a table but the best."""
    best = find_best_row(rows)
    others = [row["m_viou"] for name, row in rows.items() if name != best]
    low, high = f"{min(others):.2f}", f"{max(others):.2f}"
    return low if low == high else f"{low} to {high}"


def find_greatest(means: Sequence[Any]) -> int:
    """Find the place of the greatest of some means."""
    return max(range(len(means)), key=lambda place: means[place]["mean"])


def find_cost_ratios() -> dict[str, float]:
    """Find what a step of each stage of the training costs, over what it cost before."""
    costs = load("../organisms/costs")
    # What starting costs is measured by runs of two steps a stage, and subtracted.
    spent = {
        code: [run - start for run, start in zip(one["run"], one["start"], strict=True)]
        for code, one in costs.items()
        if code in ("before", "after")
    }
    pairs = zip(spent["after"], spent["before"], strict=True)
    return dict(zip(costs["steps"], (after / before for after, before in pairs), strict=True))


def find_refused(accuracy: Any) -> float:
    """Find the share of all absent queries, of any kind, that are refused at a threshold."""
    # Balanced accuracy is the mean of both shares.
    return 2 * accuracy["balanced"]["mean"] - accuracy["present"]["mean"]


def find_statement(name: str) -> Any:
    """Find the test of a statement on the shipped organism."""
    claims = load("claims")
    return claims["statements"][name]["organisms"][claims["shipped"]]


def write_statement(name: str, digits: int = 3) -> str:
    """Write the difference of a statement on the shipped organism."""
    return write_gain(find_statement(name), digits)


def write_tested(name: str, digits: int = 3) -> str:
    """Write a statement's difference on the shipped organism, and its verdict there and on all."""
    verdict = find_statement(name)["verdict"]
    on = "on" if verdict == "holds" else "holds on"
    return f"{write_statement(name, digits)} **{verdict}** ({on} {write_holds(name)})"


def write_steered_gain() -> str:
    """Write what drawing the look into the one box gains over the other's."""
    (found,) = [
        one for one in load("box_steering")["tests"] if one["under"] == "drawn to the other"
    ]
    return write_gain(found)


def write_elsewhere(*names: str) -> str:
    """Say of statements how often each verdict falls on the trained organisms not shipped."""
    claims, others = load("claims"), list_others()
    said = []
    for name in names:
        found = claims["statements"][name]["organisms"]
        counts = Counter(found[other]["verdict"] for other in others)
        # In one order, so that lines of the page can be compared.
        kinds = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]]
        said.append(f"`{name}` {', '.join(kinds)} (shipped: {found[claims['shipped']]['verdict']})")
    return f"*On {write_count(len(others), 'other organism')}*: {'; '.join(said)}."


def call_measured(numbers: Any) -> str:
    """Call the organism that numbers were measured on, by its weights: the shipped one or another.

    Raises:
        ValueError: if its weights are those of no organism of the claims.
    """
    claims = load("claims")
    for name, about in claims["organisms"].items():
        if about["weights"] == numbers["weights"]:
            return "the shipped organism" if name == claims["shipped"] else f"the organism `{name}`"
    raise ValueError(f"weights {numbers['weights'][:8]} are those of no organism of claims.py")


def list_others() -> list[str]:
    """List the trained organisms that are not shipped."""
    claims = load("claims")
    trained = [name for name, one in claims["organisms"].items() if one["recipe"] != "control"]
    return [name for name in trained if name != claims["shipped"]]


def call_organisms() -> list[str]:
    """Call the organisms by their names, and say of the shipped one that it is."""
    claims = load("claims")
    shipped = claims["shipped"]
    return [f"{name} (shipped)" if name == shipped else name for name in claims["organisms"]]


def write_holds(name: str) -> str:
    """Say on how many of the trained organisms a statement holds."""
    counts = load("claims")["statements"][name]["trained"]
    return f"{counts['holds']} of {sum(counts.values())}"


def share_that_holds(name: str) -> float:
    """Find the share of trained organisms on which a statement holds."""
    counts = load("claims")["statements"][name]["trained"]
    return float(counts["holds"] / sum(counts.values()))


def list_idle_lookers() -> list[str]:
    """List other trained organisms whose noun looks at layer 3, without which they answer alike."""
    found = load("looks_by_layer")["organisms"]
    return [
        name
        for name in list_others()
        if found[name]["noun"][3]["mean"] > 0.5 and abs(found[name]["fall"][3]["mean"]) < 0.5
    ]


def count_frozen_seeds() -> str:
    """Say how many seeds of the frozen recipe are measured."""
    recipes = [one["recipe"] for one in load("claims")["organisms"].values()]
    return write_count(recipes.count("frozen"), "seed")


def write_recipe_means(recipe: str) -> str:
    """Write how often the best fixed token is on the track, on each organism of a recipe."""
    claims = load("claims")
    names = [name for name, one in claims["organisms"].items() if one["recipe"] == recipe]
    return write_numbers([claims["means"][name]["fixed, on track"] for name in names])


def list_of_recipe(name: str, recipe: str) -> list[float]:
    """List the differences of a statement on the organisms of a recipe."""
    claims = load("claims")
    found = claims["statements"][name]["organisms"]
    return [
        found[one]["mean"]
        for one, about in claims["organisms"].items()
        if about["recipe"] == recipe
    ]


def shipped_looks_best() -> bool:
    """Return True if the best fixed token of no organism is on the track more often."""
    claims = load("claims")
    shares = {name: means["fixed, on track"] for name, means in claims["means"].items()}
    return shares[claims["shipped"]] == max(shares.values())


def only_unblinded_need_the_look() -> bool:
    """Return True if blinding role tokens costs much where training never did it, and there alone.

    And the other recipe, which did blind them, is not shown to make them look more often.
    """
    falls = {recipe: list_of_recipe("role-carries", recipe) for recipe in ("ablated", "frozen")}
    return bool(
        min(falls["ablated"]) > 2 + max(falls["frozen"])
        and load("claims")["training"]["interval"][0] < 0
    )


def write_of_recipe(name: str, recipe: str) -> str:
    """Write the differences of a statement on the organisms of a recipe."""
    return ", ".join(f"{one:.2f}" for one in list_of_recipe(name, recipe))


def write_across(name: str) -> str:
    """Write the difference of a statement over the seeds of the frozen recipe."""
    return write_gain(load("claims")["statements"][name]["across"])


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
    claims = load("claims")
    found = {statement: one["organisms"] for statement, one in claims["statements"].items()}
    pairs = {
        statement: (one[claims["shipped"]]["verdict"], one[name]["verdict"])
        for statement, one in found.items()
    }
    other = {key: (mine, its) for key, (mine, its) in pairs.items() if mine != its}
    told = [f"`{key}` ({mine}, here {its})" for key, (mine, its) in other.items()]
    agreed = f"{len(pairs) - len(other)} of {len(pairs)} statements"
    return f"It has the shipped organism's verdict on {agreed}; not on {', '.join(told)}."


def write_others(name: str) -> str:
    """Write the differences of a statement on the trained organisms that are not shipped."""
    found = load("claims")["statements"][name]["organisms"]
    return ", ".join(f"{found[other]['mean']:.2f}" for other in list_others())


def write_size(name: str, sign: int, digits: int = 2) -> str:
    """Write a statement's difference on the shipped organism, of which the words say the sign.

    Raises:
        ValueError: if its sign is the other one, so that the words have to be changed.
    """
    one = find_statement(name)
    if one["mean"] * sign < 0:
        raise ValueError(f"{name}: the words say another sign than {one['mean']:+.2f}; change them")
    low, high = sorted(sign * end for end in one["interval"])
    return f"{sign * one['mean']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def carries_over(key: str) -> bool:
    """Return True if a value of the shipped organism is found on all trained ones, up to 0.1."""
    claims = load("claims")
    means = {name: claims["means"][name][key] for name in (claims["shipped"], *list_others())}
    return max(means.values()) - min(means.values()) <= CARRIED


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
        "require": require,
        "share": write_share,
        "gain": write_gain,
        "found": find_difference,
        "difference": write_difference,
        "changed": write_changed,
        "gainers": write_gainers,
        "best_row": find_best_row,
        "other_rows": write_other_rows,
        "argmax": find_greatest,
        "cost_ratios": find_cost_ratios,
        "refused": find_refused,
        "role_token": lambda place: ROLE_TOKENS[place],
        "steered_gain": write_steered_gain,
        "statement": write_statement,
        "tested": write_tested,
        "carries_over": carries_over,
        "find_statement": find_statement,
        "verdict_of": lambda name: find_statement(name)["verdict"],
        "elsewhere": write_elsewhere,
        "holds": write_holds,
        "holds_on": share_that_holds,
        "idle_lookers": list_idle_lookers,
        "across": write_across,
        "recipe_means": write_recipe_means,
        "of_recipe": write_of_recipe,
        "looks_best": shipped_looks_best,
        "unblinded_need_it": only_unblinded_need_the_look,
        "frozen_seeds": count_frozen_seeds,
        "others": write_others,
        "organisms": call_organisms,
        "measured_on": call_measured,
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
        "list_means_of": lambda summaries: ", ".join(f"{one['mean']:.2f}" for one in summaries),
        "rows_of": find_rows,
    }
    return page


def make_page(template: str) -> str:
    """Make a page that is from the numbers as a whole."""
    return open_templates().get_template(template).render()


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
    return before + begin + make_page(template) + END + rest.partition(END)[2]


if __name__ == "__main__":
    for page, template in PAGES:
        page.write_text(make_page(template), encoding="utf-8")
    for page, template in PARTS:
        page.write_text(replace_part(page, template), encoding="utf-8")
