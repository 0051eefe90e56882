"""The entries about a person's finger or face: a hub writes them, none moves money (docs/biometrics.md).

What stands in them is who agreed to what, and where something of him lies. No template, no picture: those never leave
the module.
"""

from payment_core.records import Record


class ConsentGiven(Record, tag=31, frozen=True, array_like=True):
    """A guest agreed that a module learns his finger or face. `of`: `finger` or `face`; header: when.

    `text_version`: which text he was shown. `guardian`, `relation`: who agreed for a guest under 14, else empty; by the
    number of the form he signed, never by name, for nothing is ever taken out of a journal.
    """

    consent_id: bytes
    account_id: bytes
    card_id: bytes
    of: str
    text_version: str
    staff: str
    guardian: str = ""
    relation: str = ""


class ConsentWithdrawn(Record, tag=32, frozen=True, array_like=True):
    """A guest took back every consent he gave: what modules know of him is deleted from now on."""

    account_id: bytes
    staff: str
    note: str = ""


class TemplateEnrolled(Record, tag=33, frozen=True, array_like=True):
    """A module learned a finger or a face: from now on it opens the account, as the card `card_id` does.

    `life` grows when the page of a deleted template is given to somebody again.
    """

    consent_id: bytes
    credential_id: bytes
    account_id: bytes
    card_id: bytes
    media: str
    device: str
    page: int
    life: int
    staff: str


class TemplateDeleted(Record, tag=34, frozen=True, array_like=True):
    """The certificate of deletion: the module, asked again afterwards, does not have the page; header: when."""

    consent_id: bytes
    credential_id: bytes
    account_id: bytes
    device: str
    page: int
    life: int
