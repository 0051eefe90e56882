"""Consents given at this hub, and what its modules hold of people: which page is whose, never what is in it."""

from typing import Final, Literal

import msgspec

from edge_agent.ledger.store import Store

TemplateState = Literal["enrolling", "enrolled", "forgetting", "deleted", "failed"]
NO_PAGE: Final = -1
"""A module that numbers people itself has not said the number yet."""
ROWS_SHOWN: Final = 50
_IN_THE_MODULE: Final = "state IN ('enrolling', 'enrolled', 'forgetting')"


class Template(msgspec.Struct, frozen=True):
    """A finger or a face at a module. `template_id`: also of the command `Enroll`; `card_id`: whose limits it gets.

    serial: of the module that holds it; a module with another one never did. credential_id empty, life 0: nobody has
    been let in with it. reason: why it failed or waits, one word. since_ms: UTC ms of the state.
    """

    template_id: bytes
    account_id: bytes
    consent_id: bytes
    card_id: bytes
    media: str
    device: str
    serial: str
    page: int
    credential_id: bytes
    life: int
    staff: str
    state: TemplateState
    reason: str
    since_ms: int


_COLUMNS: Final = ", ".join(Template.__struct_fields__)
_MARKS: Final = ", ".join("?" for _ in Template.__struct_fields__)


def give_consent(store: Store, consent_id: bytes, account_id: bytes, of: str, *, given_ms: int) -> None:
    """Keep a consent."""
    store.execute(
        "INSERT INTO consents(consent_id, account_id, of, given_ms) VALUES (?, ?, ?, ?)",
        (consent_id, account_id, of, given_ms),
    )


def consent(store: Store, account_id: bytes, of: str, *, since_ms: int) -> bytes | None:
    """Return the newest consent of an account that was given since then and stands."""
    rows = store.rows(
        "SELECT consent_id FROM consents WHERE account_id = ? AND of = ? AND withdrawn = 0 AND given_ms >= ? "
        "ORDER BY given_ms DESC LIMIT 1",
        (account_id, of, since_ms),
    )
    return rows[0][0] if rows else None


def standing(store: Store, account_id: bytes) -> list[str]:
    """Return for what an account's consents stand."""
    sql = "SELECT DISTINCT of FROM consents WHERE account_id = ? AND withdrawn = 0 ORDER BY of"
    return [of for (of,) in store.rows(sql, (account_id,))]


def is_withdrawn(store: Store, consent_id: bytes) -> bool:
    """Say whether a consent stands no more, or never did."""
    return not store.rows("SELECT 1 FROM consents WHERE consent_id = ? AND withdrawn = 0", (consent_id,))


def withdraw(store: Store, account_id: bytes) -> int:
    """End all consents of an account; return how many stood."""
    return store.execute("UPDATE consents SET withdrawn = 1 WHERE account_id = ? AND withdrawn = 0", (account_id,))


def write(store: Store, template: Template) -> None:
    """Write a template as it is from now on."""
    store.execute(
        f"INSERT OR REPLACE INTO templates({_COLUMNS}) VALUES ({_MARKS})",
        msgspec.structs.astuple(template),
    )


def template(store: Store, template_id: bytes) -> Template | None:
    """Return one template."""
    return next(iter(_where(store, "template_id = ?", template_id)), None)


def of_account(store: Store, account_id: bytes) -> list[Template]:
    """Return the newest templates of an account, newest first."""
    return _where(store, f"account_id = ? ORDER BY since_ms DESC, template_id DESC LIMIT {ROWS_SHOWN}", account_id)


def in_state(store: Store, state: TemplateState) -> list[Template]:
    """Return the templates in a state."""
    return _where(store, "state = ? ORDER BY since_ms", state)


def last_life(store: Store, credential_id: bytes) -> Template | None:
    """Return the newest template that had a credential id, where it is deleted."""
    rows = _where(store, "credential_id = ? ORDER BY life DESC LIMIT 1", credential_id)
    return rows[0] if rows and rows[0].state == "deleted" else None


def pages_taken(store: Store, device: str) -> set[int]:
    """Return which pages of a module are somebody's."""
    sql = f"SELECT page FROM templates WHERE device = ? AND {_IN_THE_MODULE}"
    return {page for (page,) in store.rows(sql, (device,))}


def _where(store: Store, condition: str, value: bytes | str) -> list[Template]:
    sql = f"SELECT {_COLUMNS} FROM templates WHERE {condition}"
    return [Template(*row) for row in store.rows(sql, (value,))]
