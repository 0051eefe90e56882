"""What an attendant asks a hub for, and what it answers, as they travel on the device bus (JSON).

Ids are text: an authorization as 36 characters, a credential as 32 hexadecimal digits. Amounts are minor units.
"""

from typing import Annotated, Final, Literal, get_args

import msgspec

from payment_core.credential import CredentialClass, Status

NOTE_CHARACTERS: Final = 200
Uuid = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
CredentialText = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
Name = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]{0,31}$")]
Unit = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9:_-]{0,40}$")]
Note = Annotated[str, msgspec.Meta(max_length=NOTE_CHARACTERS)]
FormNumber = Annotated[str, msgspec.Meta(max_length=32, pattern="^([A-Za-z0-9-]*[0-9][A-Za-z0-9-]*)?$")]
"""Where a signed form lies in the office. It has a digit and no space: what goes into a journal is nobody's name."""
Media = Annotated[str, msgspec.Meta(max_length=32)]
ConsentWords = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
OWN_TEXT: Final = "v1"
"""The version of the text that the desk's page has of its own, for a venue whose document names none."""
LARGEST_ACT: Final = 10**9
"""The most one act may move, in minor units: sums of acts stay far below what a ledger or a JSON reader holds."""
Amount = Annotated[int, msgspec.Meta(ge=1, le=LARGEST_ACT)]
Counted = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_ACT)]
MeterName = Literal["credits", "coins", "tickets", "prizes"]
"""What a machine's own counter counts: every credit whoever gave it, or coins alone; what came out."""


class _Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="act"):
    pass


class SettleDoubt(_Act, frozen=True, tag="settle_doubt"):
    """Say whether a machine gave what it was told to give. `note`: why, needed."""

    authorization: Uuid
    delivered: bool
    note: Note


class Refund(_Act, frozen=True, tag="refund"):
    """Give back `amount` of `unit`, empty: of the venue's currency; None: all that is left of every unit."""

    authorization: Uuid
    amount: Amount | None = None
    note: Note = ""
    unit: Unit = ""


class Cancel(_Act, frozen=True, tag="cancel"):
    """Give a hold back that no device was told of."""

    authorization: Uuid
    note: Note = ""


class TopUp(_Act, frozen=True, tag="top_up"):
    """Cash at a counter becomes the guest's money. `place`: the drawer; unit empty: the venue's currency."""

    credential: CredentialText
    amount: Amount
    place: Name
    unit: Unit = ""


class TakeWon(_Act, frozen=True, tag="take_won"):
    """Tickets that a guest won, counted by hand, go to his account. `place`: the machine or counter."""

    credential: CredentialText
    amount: Amount
    place: Name
    unit: Unit = "ticket"


class ClaimCredit(_Act, frozen=True, tag="claim_credit"):
    """What lies at a lane unplayed, or was won there and not claimed, goes to a guest's account."""

    credential: CredentialText
    lane: Name
    unit: Unit = ""


class PayOut(_Act, frozen=True, tag="pay_out"):
    """Pay out in cash from the drawer `place`, at most what was brought in at this hub and lies here."""

    credential: CredentialText
    amount: Amount
    place: Name
    note: Note = ""


class SellCard(_Act, frozen=True, tag="sell_card"):
    """A card that nobody owns becomes a guest's, with `deposit` in the drawer `place`."""

    credential: CredentialText
    place: Name
    deposit: Counted = 0
    class_: CredentialClass = msgspec.field(default="C", name="class")
    media: Media = "ntag21x"


class ReplaceCard(_Act, frozen=True, tag="replace_card"):
    """A lost card's account goes on under another card; the old one pays nothing from this moment."""

    old: CredentialText
    new: CredentialText
    note: Note = ""
    class_: CredentialClass = msgspec.field(default="C", name="class")
    media: Media = "ntag21x"


class BlockCard(_Act, frozen=True, tag="block_card"):
    """Take a card out of use here and, over the LAN, at the venue's other hubs."""

    credential: CredentialText
    status: Literal["blocked", "lost"] = "blocked"
    note: Note = ""


class CountBox(_Act, frozen=True, tag="count_box"):
    """A box was emptied into `place` (a drawer, or `safe`), and `counted` by hand. unit empty: the currency."""

    box: Name
    counted: Counted
    place: Name
    kind: Literal["cash_box", "drawer"] = "cash_box"
    unit: Unit = ""


class TryMachine(_Act, frozen=True, tag="test_play"):
    """Let a machine give one credit at nobody's cost: held, captured and taken back under tender `test`."""

    lane: Name
    note: Note = ""


class BackInService(_Act, frozen=True, tag="back_in_service"):
    """Somebody looked after the machine of a lane: what gives credit there may give again. `note`: what was wrong."""

    lane: Name
    note: Note = ""


class ReadMeter(_Act, frozen=True, tag="read_meter"):
    """Somebody read a counter of a machine: `value` stands there. `note`: why, needed where it stood higher before.

    machine: it, or one of its lanes. reset: it was set, or another counter is there now; one that has run over its end
    was not reset.
    """

    machine: Name
    meter: MeterName
    value: Counted
    reset: bool = False
    note: Note = ""


class TakeConsent(_Act, frozen=True, tag="consent"):
    """A guest agrees, before anything of him is learned. `text`: the version of the text he was shown.

    `of_age`: he is 14 or older; else somebody agrees for him on paper: `guardian` is the number of that form, which
    alone has the name, and `relation` says who signed.
    """

    credential: CredentialText
    of: Literal["finger", "face"]
    text: Name
    of_age: bool = False
    guardian: FormNumber = ""
    relation: Literal["", "mother", "father", "guardian"] = ""


class EnrollPerson(_Act, frozen=True, tag="enroll"):
    """Let the module `device` learn the guest who has just agreed. `page` None: its first that is free here."""

    credential: CredentialText
    device: Name
    page: Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)] | None = None


class ForgetPerson(_Act, frozen=True, tag="forget"):
    """Take back every consent of a guest: his fingers and faces are out of use, and deleted from their modules.

    `note`: why, needed.
    """

    credential: CredentialText
    note: Note = ""


class Look(_Act, frozen=True, tag="look"):
    """Ask for a list; moves nothing."""

    what: Literal["open", "late", "credit", "boxes", "card", "machine", "person"]
    credential: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{32})?$")] = ""
    machine: Annotated[str, msgspec.Meta(pattern="^([a-z0-9][a-z0-9-]{0,31})?$")] = ""


Act = (
    SettleDoubt | Refund | Cancel | TopUp | TakeWon | ClaimCredit | PayOut | SellCard | ReplaceCard | BlockCard
    | CountBox | ReadMeter | TryMachine | BackInService | TakeConsent | EnrollPerson | ForgetPerson | Look
)  # fmt: skip
ActName = Literal[
    "settle_doubt", "refund", "cancel", "top_up", "take_won", "claim_credit", "pay_out", "sell_card", "replace_card",
    "block_card", "count_box", "read_meter", "test_play", "back_in_service", "consent", "enroll", "forget", "look",
]  # fmt: skip
ACT_NAMES: Final[dict[type[Act], ActName]] = dict(zip(get_args(Act), get_args(ActName), strict=True))
assert all(kind.__struct_config__.tag == name for kind, name in ACT_NAMES.items())


class DeskRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """One act of one person. `id`: a UUID made by the page; the same one with the same content is one act.

    `pin` empty: the staff card last shown at the terminal's reader counts. `staff`: the person's id.
    """

    id: Uuid
    staff: str
    act: Act
    pin: Annotated[str, msgspec.Meta(max_length=16)] = ""


class OpenRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """An authorization that owes an answer, or (state `captured`, `refunded`, …) one that was asked for by machine.

    `amount` of `unit`, minor units; `age_ms`: since it was held; `by`: who decides a doubt (`staff`, `favour_guest`,
    `favour_venue`, `device`: it can still tell); `guest`: whose it is, a masked name or the card's end. `certain` of
    `credits` left the device though nobody knows of the rest (both 0: of any); they stay paid, whatever is decided.
    """

    authorization: str
    state: str
    machine: str
    lane: str
    unit: str
    amount: int
    age_ms: int
    by: str = ""
    refunded: int = 0
    guest: str = ""
    certain: int = 0
    credits: int = 0


class LateRow(msgspec.Struct, frozen=True):
    """An answer that came after the end of an authorization; it changed nothing. `at_ms`: UTC ms.

    `credits`: how many a `done` speaks of, or an `unknown` is certain of; 0: it does not say.
    """

    authorization: str
    state: str
    outcome: str
    device: str
    machine: str
    unit: str
    amount: int
    at_ms: int
    credits: int = 0


class SumRow(msgspec.Struct, frozen=True):
    """What lies somewhere: coins or tickets at a lane, booked money in a box, value on a card."""

    place: str
    unit: str
    amount: int
    kind: str = ""


class PersonRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a guest's fingers and faces here, or (state `module`) a module that can learn one.

    state: `consent`, `enrolling`, `enrolled`, `forgetting` (its module has not answered yet), `deleted`, `failed`.
    """

    media: str
    state: str
    device: str = ""
    page: int = 0
    reason: str = ""


class ConsentText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is read to a guest before he agrees that a finger or face is learned.

    `texts`: by language as pages name it (`zh-Hans`, `zh-Hant`, `en`). Another wording is another `version`,
    and the page's own text has its own: ValueError.
    """

    version: Name
    texts: Annotated[dict[str, ConsentWords], msgspec.Meta(min_length=1, max_length=16)]

    def __post_init__(self) -> None:
        if self.version == OWN_TEXT:
            message = f"version {OWN_TEXT} of a consent text is the text that the page has of its own"
            raise ValueError(message)


class DeskReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to a request. again: the same request was answered before, with the same result.

    `reason`: one word where it is refused. `amount` of `unit`: what moved. `drawer`: where this desk's cash lies.
    `consent_text`: with a `person`, what is read to him; None: the page's own text counts.
    """

    id: str
    outcome: Literal["done", "again", "refused"]
    reason: str = ""
    amount: int = 0
    unit: str = ""
    open: tuple[OpenRow, ...] = ()
    late: tuple[LateRow, ...] = ()
    sums: tuple[SumRow, ...] = ()
    people: tuple[PersonRow, ...] = ()
    note: str = ""
    drawer: str = ""
    consent_text: ConsentText | None = None


class CardShown(msgspec.Struct, frozen=True, omit_defaults=True):
    """A card was shown at a terminal's reader: whose it is here. `staff`: a staff card, and its person's id."""

    credential: str
    status: Status | Literal["unknown"]
    masked_name: str = ""
    unit: str = ""
    balance: int = 0
    staff: str = ""
    at_ms: int = 0
