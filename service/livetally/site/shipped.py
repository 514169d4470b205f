"""What comes with the code: the built pages, and the documents that /docs shows.

In a checkout they lie where they are written; setup.py puts the same tree into a wheel.
"""

from pathlib import Path

_WHEEL = Path(__file__).parent / "shipped"
_CHECKOUT = Path(__file__).parents[3]


def shipped(path: str) -> Path:
    """Where a file or folder of the project is, which needn't exist."""
    return (_WHEEL if _WHEEL.is_dir() else _CHECKOUT) / path


def pages_folder(pages_dir: str) -> Path:
    """The pages of the setting LIVETALLY_PAGES_DIR: empty means those that came along."""
    return Path(pages_dir) if pages_dir else shipped("frontend/dist")
