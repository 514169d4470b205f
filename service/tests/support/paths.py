"""Where things are in a checkout."""

from pathlib import Path

ROOT = Path(__file__).parents[3]
FRONTEND = ROOT / "frontend"
LOADTEST = ROOT / "loadtest"
MODULES = FRONTEND / "node_modules"
README = ROOT / "README.md"
SERVICE_README = ROOT / "service" / "README.md"
COMPAT_README = ROOT / "service" / "livetally" / "compat" / "README.md"
