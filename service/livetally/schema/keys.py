"""What keys are for: their roles, and the origins that browsers name."""

import re
from enum import StrEnum

ORIGIN = re.compile(r"https?://[a-z0-9.\[\]:-]+")


class Role(StrEnum):
    """What a key may do, within its project (`admin` also operates the whole installation)."""

    WRITE = "write"
    READ = "read"
    #: Both of these, for clients of older systems: they have one key for everything.
    READ_WRITE = "read_write"
    ADMIN = "admin"

    def allows(self, role: "Role") -> bool:
        """Whether a key of this role may do what is for keys of that one."""
        both = self is Role.READ_WRITE and role is not Role.ADMIN
        return both or self in (role, Role.ADMIN)
