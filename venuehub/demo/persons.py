"""The demo's booths for persons: a finger and a face as the second factor, and a member's code on a phone."""

import random
from collections.abc import Callable
from typing import Final

from back_office.console.phone_page import phone_link
from back_office.members.phones import add_phone
from back_office.store.engine import Transaction
from back_office.store.people import GuestAccount, of_account
from cloud_sync.identity import OfficeKeys
from payment_core.member_code import HANDLE_BYTES, SEED_BYTES
from venuehub.demo.booths import booth_of
from venuehub.demo.places import Booth, BoothDevice

DEAR: Final = 500
"""Above the arcade's `step_up_over`: the card alone does not pay for it."""
PLAY: Final = 200


def person_booths() -> tuple[Booth, ...]:
    """Return the booths; their numbers are 15 to 17, whose game machines there are."""
    finger = BoothDevice("finger-15", "r503")
    face = BoothDevice("face-16", "hlk-fm225")
    scanner = BoothDevice("scanner-17", "gm65-serial")
    return (
        booth_of("finger", 15, "指纹验证 Finger", finger, {"step_up_reader": finger.id}, price=DEAR),
        booth_of("face", 16, "刷脸验证 Face", face, {"step_up_reader": face.id}, price=DEAR),
        booth_of("member_code", 17, "手机会员码 Phone", scanner, {"scanner": scanner.id}, price=PLAY),
    )


def add_factors(tx: Transaction, keys: OfficeKeys, booth: Booth, account: GuestAccount) -> None:
    """Give a booth's guest a phone beside the card, as `office card phone` does.

    Fingers and faces are put into no book here: guests agree and are learned at the desk (person_visits.py).
    """
    if booth.kind == "member_code":
        (card,) = of_account(tx, keys.tenant_id, account.account_id)
        add_phone(tx, keys.tenant_id, card, pepper=keys.pepper, dice=_dice(booth))


def phone_of(booth: Booth) -> tuple[bytes, bytes]:
    """Return what the guest's phone has: handle and seed, and nothing else; it needs no network."""
    dice = _dice(booth)
    return dice(HANDLE_BYTES), dice(SEED_BYTES)


def phone_page(office: str) -> str:
    """Return where the guest's phone shows its codes, for whoever wants to see them; `office`: the office's address."""
    (booth,) = [booth for booth in person_booths() if booth.kind == "member_code"]
    handle, seed = phone_of(booth)
    return phone_link(office, handle=handle, seed=seed)


def _dice(booth: Booth) -> Callable[[int], bytes]:
    return random.Random(booth.guest.card).randbytes  # noqa: S311 - a demo's guest, not a secret
