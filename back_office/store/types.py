"""Column types that SQLite's STRICT tables and PostgreSQL both take."""

from typing import Any

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Text

WHOLE = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits in both; amounts are minor units, times are milliseconds."""
RAW = LargeBinary
TEXT = Text


def key(name: str, kind: Any) -> "Column[Any]":  # noqa: ANN401 - SQLAlchemy takes a type or an instance of one
    """Return a column of the primary key; no table here numbers its rows by itself."""
    return Column(name, kind, primary_key=True, autoincrement=False, nullable=False)


def value(name: str, kind: Any, *, optional: bool = False) -> "Column[Any]":  # noqa: ANN401 - as above
    """Return a plain column; NOT NULL unless `optional`."""
    return Column(name, kind, nullable=optional)
