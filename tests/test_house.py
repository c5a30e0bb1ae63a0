"""The rules of the house that a program can check: words, comments, sizes, hidden state.

    python tests/test_house.py [PATH ...]    lists what breaks them below these paths

CONTRIBUTING.md says why each rule is there.
"""

import ast
import re
import sys
import tokenize
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

HEADLESS = re.compile(r"(What|Where|Whether|How|Of|The same)\b")
"""A function's docstring opens with a verb, or with the noun that it returns."""

DIALECT = re.compile(r"\b(stand|stands|standing|behind|beside)\b", re.IGNORECASE)
"""Words that this code once used for everything; "after", "next to", "is" say it plainly."""

MOST_HEADLESS = 0.02
LEAST_COMMENTS = 15
"""A thousand lines."""

MOST_METHODS = 20
MOST_LINES = 400

NOT_WORDS = re.compile(r"#\s*(noqa|pyright|type:|fmt|%%)")
"""Comments that are for programs."""


@dataclass(frozen=True)
class Source:
    """A file of the package."""

    path: Path

    @cached_property
    def text(self):
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def nodes(self):
        return list(ast.walk(ast.parse(self.text)))

    @property
    def docstrings(self):
        """Every string that says something: of modules, classes, functions and attributes."""
        for node in self.nodes:
            match node:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield node.lineno, text

    @property
    def functions(self):
        """Every function that has a docstring, with that."""
        for node in self.nodes:
            if isinstance(node, ast.FunctionDef) and (text := ast.get_docstring(node)):
                yield node.lineno, text

    @cached_property
    def comments(self):
        with self.path.open("rb") as file:
            tokens = list(tokenize.tokenize(file.readline))
        return [
            (token.start[0], token.string)
            for token in tokens
            if token.type == tokenize.COMMENT and not NOT_WORDS.match(token.string)
        ]

    def at(self, line):
        return f"{self.path.relative_to(ROOT)}:{line}"


@cache  # so that the package is parsed once for all rules
def sources(*paths):
    found = [path for start in paths or (ROOT / "probe",) for path in Path(start).rglob("*.py")]
    files = [Path(start) for start in paths if Path(start).is_file()]
    return [Source(path.resolve()) for path in sorted([*found, *files])]


def headless(files):
    return [
        f"{file.at(line)}: {text.splitlines()[0]}"
        for file in files
        for line, text in file.functions
        if HEADLESS.match(text)
    ]


def headless_notes(files):
    """Docstrings of classes and attributes that open with a clause."""
    functions = {(file.path, text) for file in files for _, text in file.functions}
    return [
        f"{file.at(line)}: {text.splitlines()[0]}"
        for file in files
        for line, text in file.docstrings
        if (file.path, text) not in functions
        if re.match(r"(What|Whether|How|Which|Why)\b(?!.*\?$)", text.splitlines()[0])
    ]


def dialect(files):
    return [
        f"{file.at(line)}: {match[0]!r} in {' '.join(text.split())[:90]!r}"
        for file in files
        for line, text in (*file.docstrings, *file.comments)
        for match in [DIALECT.search(text)]
        if match
    ]


def methods(files):
    return [
        f"{file.at(node.lineno)}: {node.name} has {count} methods"
        for file in files
        for node in file.nodes
        if isinstance(node, ast.ClassDef)
        if (count := sum(isinstance(part, ast.FunctionDef) for part in node.body)) > MOST_METHODS
    ]


def hidden_state(files):
    """Cached properties that give a list or dict, which others could write to."""
    return [
        f"{file.at(node.lineno)}: {node.name}"
        for file in files
        for node in file.nodes
        if isinstance(node, ast.FunctionDef)
        and any("cached_property" in ast.unparse(one) for one in node.decorator_list)
        and re.match(r"(list|dict|set)\b", ast.unparse(node.returns) if node.returns else "")
    ]


def imports_by_name(files):
    return [
        file.at(line)
        for file in files
        if file.path.name != "__init__.py"
        for line, text in enumerate(file.text.splitlines(), start=1)
        if re.search(r"\b(import_module|__import__)\(", text) and "probe" in text
    ]


def too_long(files):
    lengths = {file.path.relative_to(ROOT): len(file.text.splitlines()) for file in files}
    return [f"{path}: {length} lines" for path, length in lengths.items() if length > MOST_LINES]


@pytest.mark.parametrize(
    "rule",
    [headless_notes, dialect, methods, hidden_state, imports_by_name, too_long],
    ids=lambda rule: rule.__name__,
)
def test_nothing_breaks_the_rule(rule):
    assert rule(sources()) == []


def test_docstrings_of_functions_open_with_a_verb_or_a_noun():
    files = sources()
    total = sum(len(list(file.functions)) for file in files)
    assert len(headless(files)) <= MOST_HEADLESS * total


def test_files_whose_slow_tests_run_by_themselves_are_there():
    text = (ROOT / "tests/conftest.py").read_text(encoding="utf-8")
    names = re.findall(r'^        "(test_\w+\.py)",$', text, re.MULTILINE)
    assert names
    there = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert set(names) <= there


def test_comments_give_reasons_often_enough():
    files = sources()
    lines = sum(len(file.text.splitlines()) for file in files)
    assert sum(len(file.comments) for file in files) >= LEAST_COMMENTS * lines / 1000


def report(files):
    total = sum(len(list(file.functions)) for file in files)
    lines = sum(len(file.text.splitlines()) for file in files)
    comments = sum(len(file.comments) for file in files)
    for rule in (
        headless,
        headless_notes,
        dialect,
        methods,
        hidden_state,
        imports_by_name,
        too_long,
    ):
        for broken in (found := rule(files)):
            print(f"{rule.__name__:16} {broken}")
        print(f"{rule.__name__:16} {len(found)} in all")
    print(f"functions with docstrings: {total}; lines: {lines}; comments: {comments}")
    print(f"headless: {100 * len(headless(files)) / max(total, 1):.1f} %")
    print(f"comments a thousand lines: {1000 * comments / max(lines, 1):.1f}")


if __name__ == "__main__":
    report(sources(*map(Path, sys.argv[1:])))
