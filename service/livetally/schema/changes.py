"""What processes tell each other after a commit, over Redis."""

import msgspec


class ItemsChanged(msgspec.Struct, array_like=True, tag="items"):
    """Items of a key that one commit changed; what they are now is read from Postgres."""

    origin: str
    project: int
    key: str
    versions: list[tuple[str, int]]


class Change(msgspec.Struct, array_like=True, tag="events"):
    """What one commit of events changed in one project."""

    origin: str  # the process that committed; it has shown the change already
    project: int
    slot: int
    first: int  # the positions given out in the slot, first and last
    last: int
    committed_at: float  # Unix time, seconds
    #: by type and subject the slot's new count; the empty subject is the type's grand total
    totals: dict[str, dict[str, int]]
    #: the commit's traceparent, if it is traced
    trace: str | None = None
