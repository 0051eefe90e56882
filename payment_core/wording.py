"""How a count is said to a person."""


def counted(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun: 1 line, 2 lines; `many` where that is not `one` with an s."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"
