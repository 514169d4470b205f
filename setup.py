"""What a wheel has beside the code: the built pages, and the documents that /docs shows.

All else that describes the package is in pyproject.toml.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SHIPPED = (
    "LICENSE",
    "*.md",
    ".github/SECURITY.md",
    "frontend/README.md",
    "frontend/dist/*.html",
    "frontend/dist/assets/*",
    "frontend/dist/js/*",
    "frontend/screenshots/*.png",
    "frontend/src/sdk/package/README.md",
    "inspec/README.md",
    "loadtest/README.md",
    "loadtest/results/bench/growth.png",
    "service/*.md",
    "service/deploy/README.md",
    "service/livetally/*/README.md",
    "terraform/README.md",
)


class BuildWithShipped(build_py):
    """They keep their places, so that a link leads where it does in a checkout."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # a checkout has them (livetally.site.shipped)
        shipped = Path(self.build_lib, "livetally", "site", "shipped")
        for file in [file for pattern in SHIPPED for file in ROOT.glob(pattern) if file.is_file()]:
            target = shipped / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(str(file), str(target))


setup(cmdclass={"build_py": BuildWithShipped})
