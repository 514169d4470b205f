"""How a command is added to `livetally`, and how it ends.

A group of commands is a module with `add(commands)`, which calls `add_command` for each. What only
one command needs (Postgres, a terminal) is imported when it runs: `livetally send` starts fast.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .. import __version__

SETTINGS = "Settings are environment variables LIVETALLY_*; service/README.md has the table."

Add = Callable[[Any], None]

_PACKAGE = __name__.partition(".")[0]


def printable(text: str) -> str:
    """What came from outside must not steer the terminal: no escapes, no C1 controls, nothing that
    turns the order of letters. Valid JSON stays valid, and the same."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


class CommandError(Exception):
    """A command can't do what it was asked to; the message says why, and what to do."""


def run(groups: Iterable[Add], argv: Sequence[str] | None) -> int:
    arguments = _parser(groups).parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - or Python complains at its end
        return 141  # as of a program that doesn't catch it: `livetally tail click | head`
    except (CommandError, OSError) as error:
        print("livetally:", printable(" ".join(str(error).split())), file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(_PACKAGE):
            raise
        print(f"livetally: {_needs(arguments.program, error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130  # what a shell says of a command that Ctrl-C ended
    return status


def _needs(program: str, error: ModuleNotFoundError) -> str:
    """What to install: `pip install livetally` alone has what talks to a server elsewhere."""
    extra = "local" if program.endswith(" demo") else "server"
    return f"`{program}` needs the package {error.name}: pip install 'livetally[{extra}]'"


def _parser(groups: Iterable[Add]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="livetally",
        description="Exact, live counts of what is happening now.",
        epilog=SETTINGS,
    )
    parser.add_argument("--version", action="version", version=f"livetally {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in groups:
        add(commands)
    return parser


def add_command(
    commands: Any, name: str, run: Any, says: str, *, examples: str = "", ends: str = SETTINGS
) -> argparse.ArgumentParser:
    """Add a command that `run(arguments)` does, returning the exit status.

    `examples` are lines of a shell, shown by --help as they are.
    """
    if examples:
        lines = "\n".join(f"  {line.strip()}" for line in examples.strip().splitlines())
        ends = f"examples:\n{lines}\n\n{ends}"
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=says,
        description=f"{says[0].upper()}{says[1:]}.",
        epilog=ends,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run, program=command.prog)
    return command


def number(least: int, most: int) -> Callable[[str], int]:
    """The type of an option that takes a whole number between two."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal()) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"from {least} to {most}")
        return int(text)

    return parse
