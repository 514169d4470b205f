"""The command `livetally`: a module for each group of commands, and what they have in common.

    command     how a command is added, how it ends
    server      serve, migrate, health, demo
    worker      worker
    archive     export, restore
    replay      replay
    aws         aws-setup
    keys        keys create, list, revoke
    remote/     send, tail, put, stats, simulate

Exit statuses: 0 done, 1 done in part, 2 not done, 130 stopped by Ctrl-C.
"""

import sys
from collections.abc import Sequence
from importlib import import_module

from .command import run

#: The module of each command, in the order of `livetally --help`. Each has `add(commands)`.
_GROUPS = {
    **dict.fromkeys(("serve", "migrate", "health", "demo"), "server"),
    "worker": "worker",
    **dict.fromkeys(("export", "restore"), "archive"),
    "replay": "replay",
    "aws-setup": "aws",
    "keys": "keys",
    **{name: f"remote.{name}" for name in ("send", "tail", "put", "stats", "simulate")},
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. What went wrong is one line on stderr."""
    argv = sys.argv[1:] if argv is None else argv
    asked = argv[0] if argv else ""
    # Who asks for one command waits for no other's imports.
    groups = [_GROUPS[asked]] if asked in _GROUPS else dict.fromkeys(_GROUPS.values())
    return run((import_module(f".{group}", __name__).add for group in groups), argv)
