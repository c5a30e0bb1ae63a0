"""Render a chat template; run as a program of its own, in which a template that runs away is ended.

Reads JSON from standard input, and writes JSON to standard output: the `texts`, one for each case
of variables, or the `error`. It imports nothing but Jinja, since it is started each time a new
checkpoint is opened.
"""

import json
import sys
from contextlib import suppress
from datetime import datetime
from typing import Any

import jinja2.nodes
import jinja2.utils
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(Extension):
    """The block in which some templates mark the words of the assistant; it changes nothing."""

    tags = {"generation"}  # noqa: RUF012  Jinja declares it so

    def parse(self, parser: Any) -> Any:
        """Parse the block to its content."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)


class Names(jinja2.utils.Namespace):
    """Jinja's namespace without names of Python's own, through which a sandbox can be left."""

    # No named parameter, so that a template may give any name.
    def __init__(*given: Any, **named: Any) -> None:
        self, *rest = given
        names = dict(*rest, **named)
        for name in names:
            _check_name(name)
        jinja2.utils.Namespace.__init__(self, names)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace may not hold {name!r}")


def render(template: str, variables: dict[str, Any]) -> str:
    """Render a template as `apply_chat_template` of transformers does, in Jinja's sandbox.

    Raises:
        TemplateError: if it is no template, or refuses the conversation.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = _write_json
    environment.globals |= {
        "raise_exception": _refuse,
        "strftime_now": lambda form: datetime.now().strftime(form),
        "dict": lambda *given, **more: dict(*given, **more),
        "namespace": Names,
    }
    return environment.from_string(template).render(**variables)


def _write_json(value: Any, **options: Any) -> str:
    # Jinja's own filter escapes the characters of HTML, which models were not trained on.
    return json.dumps(value, **{"ensure_ascii": False, **options})


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


def _limit(seconds: int, memory: int) -> None:
    """Have the system end this process after so much work, where it can.

    Jinja's sandbox keeps a template from running code. Should it fail, this process can still
    write no file and start no other process.
    """
    try:
        import resource
    except ImportError:  # Windows, where the time that the parent waits is the only limit
        return
    limits = {"CPU": seconds, "AS": memory, "FSIZE": 0, "NPROC": 0}
    for name, limit in limits.items():
        # Not every system has each of them; those that it has are worth having.
        with suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limit, limit))


def main() -> None:
    """Render what standard input asks for."""
    asked = json.load(sys.stdin)
    _limit(asked["seconds"], asked["memory"])
    try:
        most = asked["length"]
        texts = [render(asked["template"], case) for case in asked["cases"]]
        long = any(len(text) > most for text in texts)
        answer = {"error": f"over {most} characters"} if long else {"texts": texts}
    except MemoryError:
        answer = {"error": "it takes too much memory"}
    except Exception as failure:  # noqa: BLE001  a template can raise anything; it is reported
        answer = {"error": f"{type(failure).__name__}: {failure}"}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
