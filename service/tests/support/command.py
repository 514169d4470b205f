"""`livetally`'s commands that talk to a service, as processes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from typing import Any


class Command:
    """`livetally …` with the service's address and its admin key in the environment."""

    def __init__(self, url: str, key: str, *arguments: str, **options: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "livetally", *arguments],
            env={
                **os.environ,
                "LIVETALLY_URL": url,
                "LIVETALLY_KEY": key,
                "TERM": "xterm",
                "COLUMNS": "100",
            },
            # A shell's background jobs ignore Ctrl-C, and so would what they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            **{
                "stdin": subprocess.PIPE,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                **options,
            },
        )

    async def line(self) -> dict[str, Any]:
        """The next line of its output, as JSON."""
        assert self.process.stdout
        async with asyncio.timeout(20):
            line = await asyncio.to_thread(self.process.stdout.readline)
        assert line, self.process.communicate()
        found: dict[str, Any] = json.loads(line)
        return found

    async def end(self, stdin: bytes | None = None) -> tuple[int, str, str]:
        """What it said when it had ended: (status, stdout, stderr)."""
        said, complained = await asyncio.to_thread(self.process.communicate, stdin, 40)
        return self.process.returncode, (said or b"").decode(), (complained or b"").decode()
