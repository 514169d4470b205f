"""Locust against a Livetally of its own, or one that runs: `make load`.

    python -m loadtest.load --shape ramp --users 400
    python -m loadtest.load --host http://127.0.0.1:8080 --users 50   keys: `. .livetally/env`
    python -m loadtest.load Viewer SingleEvents                       these users only

What isn't named here is handed to Locust (see locustfile.py). Exits 1 if the gate is shut.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from loadtest.lib.paths import LOADTEST, RESULTS, ROOT
from loadtest.lib.stand import free_port, stand


def main() -> int:
    parser = argparse.ArgumentParser(description="Load Livetally, and check that all was counted.")
    parser.add_argument("--host", help="a server that runs; else one is started")
    parser.add_argument("--servers", type=int, default=1, help="worker processes of that server")
    parser.add_argument("--processes", type=int, default=1, help="processes of the load")
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--stop-timeout", default="10")
    parser.add_argument("--results", default=str(RESULTS / "load"))
    options, rest = parser.parse_known_args()
    arguments = [
        "--headless", "--users", str(options.users), "--stop-timeout", options.stop_timeout,
        "--results", options.results, "--only-summary", *rest,
    ]  # fmt: skip
    if options.processes > 1:
        port = str(free_port())  # two runs at once must not mix
        arguments += ["--processes", str(options.processes)]
        arguments += ["--master-bind-host", "127.0.0.1"]
        arguments += ["--master-bind-port", port, "--master-port", port]
    if options.host:
        return _locust(options.host, {}, arguments)
    with (
        tempfile.TemporaryDirectory(prefix="livetally-load-") as folder,
        stand(Path(folder)) as ground,
        ground.database() as bench,
        bench.serve(workers=options.servers) as server,
    ):
        keys = {
            "WRITE_KEY": bench.write_key,
            "READ_KEY": bench.read_key,
            "ADMIN_KEY": bench.admin_key,
            "PROJECT": "bench",
        }
        return _locust(f"http://127.0.0.1:{server.port}", keys, arguments)


def _locust(host: str, keys: dict[str, str], arguments: list[str]) -> int:
    command = [
        sys.executable,
        "-m",
        "locust",
        "-f",
        str(LOADTEST / "locustfile.py"),
        "--host",
        host,
    ]
    environ = os.environ | keys
    return subprocess.run([*command, *arguments], env=environ, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
