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

from collections.abc import Sequence

from . import archive, aws, keys, replay, server, worker
from .command import run
from .remote import put, send, simulate, stats, tail

#: In the order of `livetally --help`. Each has `add(commands)`.
_GROUPS = (server, worker, archive, replay, aws, keys, send, tail, put, stats, simulate)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. What went wrong is one line on stderr."""
    return run((group.add for group in _GROUPS), argv)
