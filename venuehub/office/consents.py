"""`venuehub office consent …`: who agreed to finger or face, what modules hold, and what is still to be deleted."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from payment_core.wording import counted
from venuehub.office.cards import CardText
from venuehub.office.desk import Folder, now_ms
from venuehub.output import AsJson, print_json, print_line

if TYPE_CHECKING:
    from back_office.store.consents import Consent, Template
    from back_office.store.engine import Transaction

consent_app = typer.Typer(name="consent", no_args_is_help=True, help="Consents to fingers and faces, and deletions.")


@consent_app.command(
    "withdraw",
    epilog="Example: venuehub office consent withdraw --dir office --card ntag213:04A1B2C3D4E580 --by ann --json\n\n"
    'It prints {"withdrawn": 1, "pending": 1}. Exit code 0; 1: nobody knows the card.',
)
def consent_withdraw(
    *,
    folder: Folder,
    card: CardText,
    by: Annotated[str, typer.Option(help="Who takes it down.")],
    as_json: AsJson = False,
) -> None:
    """Take back every consent of a card's owner: finger and face are blocked now, and deleted from every module."""
    from back_office.members.cards import find_card, parse_card
    from back_office.members.consents import pending, withdraw
    from back_office.store.consents import Ended
    from venuehub.office.checks import refuse_nobody
    from venuehub.office.tools import open_office

    refuse_nobody(by)
    with open_office(folder) as (store, keys), store.writing() as tx:
        account_id = find_card(tx, keys.tenant_id, parse_card(card), pepper=keys.pepper).account_id
        count = withdraw(tx, keys.tenant_id, account_id, Ended(now_ms(), by))
        waiting = sum(one.account_id == account_id for one in pending(tx, keys.tenant_id))
    if as_json:
        print_json({"withdrawn": count, "pending": waiting})
        return
    print_line(f"{counted(count, 'consent')} withdrawn; {counted(waiting, 'template')} to be deleted by their modules")
    if waiting:
        print_line("venuehub office consent show says when each module has proven it")


@consent_app.command(
    "show",
    epilog="Example: venuehub office consent show --dir office --card ntag213:04A1B2C3D4E580 --json\n\n"
    'It prints {"consents": [{"of": "finger", …}], "templates": [{"state": "pending", "deleted_ms": '
    'null, …}], "pending": 1}. Exit code 0; 1: nobody knows the card.',
)
def consent_show(*, folder: Folder, card: CardText, as_json: AsJson = False) -> None:
    """Show what a card's owner agreed to, and each template with its certificate of deletion."""
    from back_office.members.cards import find_card, parse_card
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.reading() as tx:
        account_id = find_card(tx, keys.tenant_id, parse_card(card), pepper=keys.pepper).account_id
        _tell(_said(tx, keys.tenant_id, account_id), as_json=as_json)


@consent_app.command(
    "list",
    epilog="Example: venuehub office consent list --dir office --json\n\n"
    'It prints {"consents": […], "templates": […], "pending": 0}. Exit code 0.',
)
def consent_list(*, folder: Folder, as_json: AsJson = False) -> None:
    """Show all consents and templates, and how many deletions no module has proven yet."""
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.reading() as tx:
        _tell(_said(tx, keys.tenant_id, None), as_json=as_json)


def _said(tx: "Transaction", tenant_id: bytes, account_id: bytes | None) -> dict[str, Any]:
    from back_office.members.consents import is_ended
    from back_office.store import consents, places

    hubs = {hub.hub_id: hub.name for hub in places.hubs(tx, tenant_id)}
    templates = [
        _template(one, hubs, ended=is_ended(tx, tenant_id, one))
        for one in consents.templates(tx, tenant_id, account_id)
    ]
    return {
        "consents": [_consent(one, hubs) for one in consents.consents(tx, tenant_id, account_id)],
        "templates": templates,
        "pending": sum(one["state"] == "pending" for one in templates),
    }


def _consent(one: "Consent", hubs: dict[bytes, str]) -> dict[str, Any]:
    from payment_core.identifiers import uuid_text

    return {
        "consent_id": uuid_text(one.consent_id), "account_id": one.account_id.hex(), "hub": hubs.get(one.hub_id, ""),
        "of": one.of, "text_version": one.text_version, "given_ms": one.given_ms, "staff": one.staff,
        "guardian": one.guardian, "relation": one.relation, "withdrawn_ms": one.withdrawn_ms,
        "withdrawn_by": one.withdrawn_by,
    }  # fmt: skip


def _template(one: "Template", hubs: dict[bytes, str], *, ended: bool) -> dict[str, Any]:
    state = "deleted" if one.deleted_ms is not None else "pending" if ended else "enrolled"
    return {
        "credential_id": one.credential_id.hex(), "account_id": one.account_id.hex(), "hub": hubs.get(one.hub_id, ""),
        "media": one.media, "device": one.device, "page": one.page, "state": state, "enrolled_ms": one.enrolled_ms,
        "deleted_ms": one.deleted_ms,
    }  # fmt: skip


def _tell(said: dict[str, Any], *, as_json: bool) -> None:
    from venuehub.office.checks import moment

    if as_json:
        print_json(said)
        return
    for one in said["consents"]:
        child = f", form {one['guardian']} signed by the {one['relation']}" if one["guardian"] else ""
        back = f", taken back {moment(one['withdrawn_ms'])} before {one['withdrawn_by']}" if one["withdrawn_ms"] else ""
        what = f"{one['of']} agreed to {moment(one['given_ms'])} at {one['hub']}, text {one['text_version']}"
        print_line(f"{one['account_id'][-6:]}  {what}, before {one['staff']}{child}{back}")
    for one in said["templates"]:
        word = {
            "deleted": f"deleted, proven by the module {moment(one['deleted_ms'] or 0)}",
            "pending": "TO BE DELETED: the module has not proven it yet",
            "enrolled": "in use",
        }[one["state"]]
        where = f"page {one['page']} of {one['device']} at {one['hub']}"
        print_line(f"{one['account_id'][-6:]}  {one['media']}, {where}: {word}")
    if not said["consents"] and not said["templates"]:
        print_line("nobody has agreed to a finger or a face")
