"""Write the gallery: each figure with its claim and its result: `python docs/write_gallery.py`.

The claim is the first line of the script that measured it, and what was measured its next words.
Figure and numbers are those that `make figures` draws and reads. Nothing is copied by hand.
"""

import ast
from pathlib import Path

from probe.files import read_json

ROOT = Path(__file__).parents[1]
ANALYSES = ROOT / "analyses"
PAGE = Path(__file__).with_name("gallery.md")

OPENING = """# Gallery

Every figure of `make figures`, with the claim in the words of its script, as the numbers support
it, also where it did not hold; then how it was measured. `python analyses/NAME.py --measure`
measures one again. All are of small models that were raised here: [what holds, and what does
not](findings.md) weighs them.
"""


def list_scripts() -> list[Path]:
    """List the scripts that have a figure, by name."""
    return sorted(ANALYSES / f"{path.stem}.py" for path in (ANALYSES / "figures").glob("*.png"))


def read_script(script: Path) -> tuple[str, str]:
    """Read the claim of a script, and the paragraphs that say how it was measured."""
    about = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8")))
    assert about is not None, f"{script} says nothing"
    claim, *paragraphs = about.split("\n\n")
    # The paragraph of commands has the name of the script at each start.
    told = [text for text in paragraphs if f"python analyses/{script.name}" not in text]
    return claim.rstrip("."), "\n\n".join(told)


def describe_numbers(script: Path) -> str:
    """Describe what the stored numbers were measured on."""
    numbers = read_json(ANALYSES / "numbers" / f"{script.stem}.json")
    where = f"`analyses/{script.name}`, `analyses/numbers/{script.stem}.json`"
    if "cases" not in numbers:
        return f"Numbers: {where}."
    failed = len(numbers.get("failed", ()))
    return (
        f"Measured on {numbers['cases']} clips of `{numbers['dataset']['name']}`, "
        f"{failed or 'none'} of which failed; numbers: {where}."
    )


def make_page() -> str:
    """Make the page: a section for each figure."""
    parts = [OPENING]
    for script in list_scripts():
        claim, told = read_script(script)
        picture = f"![{claim}](../analyses/figures/{script.stem}.png)"
        parts += [f"## {claim}", picture, *([told] if told else []), describe_numbers(script)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(make_page(), encoding="utf-8")
