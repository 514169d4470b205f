"""By control of inspec/aws, one slip that it must find, and no other control may.

Made by the call that somebody would have made; where AWS has none (an encryption that can't be
switched off), in moto's memory.
"""

from .data import CACHE, DATABASE
from .edge import EDGE
from .keys import KEYS
from .monitoring import MONITORING
from .network import NETWORK
from .queue import QUEUE
from .roles import ROLES
from .service import SERVICE
from .storage import STORAGE

SLIPS = {
    **NETWORK,
    **DATABASE,
    **CACHE,
    **STORAGE,
    **QUEUE,
    **SERVICE,
    **ROLES,
    **EDGE,
    **KEYS,
    **MONITORING,
}
