"""Which index SQLite is to search by.

A file of books has no statistics, and without them SQLite takes a tenant for about ten rows: it would rather read all
that a tenant has by its primary key than search an index by what was asked for. PostgreSQL counts, and chooses well.
"""

from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler

Query = TypeVar("Query", bound=sa.Select[Any])
OF_A_NAME: Final = "sqlite_autoindex_accounts_2"
"""What SQLite calls the index of accounts by kind, key and scope: the second constraint that the table has."""


def by_index(query: Query, table: sa.Table, index: str) -> Query:
    """Return a query for which SQLite searches a table by this index, or refuses the query."""
    return query.with_hint(table, f"INDEXED BY {index}", "sqlite")


class SQLiteWords(SQLiteCompiler):
    """Says such a hint, which SQLAlchemy says in other databases' words only."""

    def get_from_hint_text(self, table: sa.FromClause, text: str | None) -> str | None:  # noqa: ARG002 - as it calls it
        """Return what stands behind the table's name."""
        return text
