"""What of parts and lots no honest hub writes: the books would read, write and carry it without end."""

from typing import Final

import msgspec

from payment_core.journal import VERSIONS, Entry, Lot, Part

MOST_PARTS: Final = 4_096
"""Parts, or lots, of one list. A hub's longest is the return of all that an account has there: 3,000, and a little."""
LOT_BYTES: Final = 16


def beyond_bounds(entry: Entry) -> str:
    """Return what of an entry's parts and lots is beyond bounds; empty: nothing."""
    for name in _NAMES[type(entry)]:
        value: Part | Lot | tuple[Part | Lot, ...] | None = getattr(entry, name)
        if not value:
            continue
        listed = value if isinstance(value, tuple) else (value,)
        if len(listed) > MOST_PARTS:
            return f"{name} has more than {MOST_PARTS}"
        for one in listed:
            if one.lot and len(one.lot) != LOT_BYTES:
                return f"{name} names a lot that has not {LOT_BYTES} bytes"
    return ""


def _is_of_lots(kind: msgspec.inspect.Type) -> bool:
    match kind:
        case msgspec.inspect.VarTupleType(item_type=item):
            return _is_of_lots(item)
        case msgspec.inspect.UnionType(types=kinds):
            return any(map(_is_of_lots, kinds))
        case msgspec.inspect.StructType(cls=cls):
            return cls in {Part, Lot}
        case _:
            return False


def _names_in(kind: type) -> tuple[str, ...]:
    of = msgspec.inspect.type_info(kind)
    assert isinstance(of, msgspec.inspect.StructType)
    return tuple(field.name for field in of.fields if _is_of_lots(field.type))


_NAMES: Final = {kind: _names_in(kind) for kind in VERSIONS}
"""By type of entry: which of its fields are parts or lots."""
