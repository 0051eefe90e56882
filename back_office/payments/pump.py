"""Carries the desk's asks to the channels and their words back. It keeps nothing: what is lost here is asked again."""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from back_office.payments.desk import Handled, PaymentDesk
from back_office.payments.port import Forged, NoAnswer, Provider, carry
from back_office.payments.turn import Send


class Pump:
    """One desk and its channels by name. `clock` returns UTC ms. Calls block as long as a channel takes."""

    def __init__(self, desk: PaymentDesk, providers: Mapping[str, Provider], clock: Callable[[], int]) -> None:
        """Take what it stands between."""
        self._desk = desk
        self._providers = providers
        self._clock = clock

    def carry_out(self, handled: Handled) -> Handled:
        """Carry out what a wish led to, and all that follows; return the order as it stands then."""
        last = self._carry(handled.sends)
        if last is None or last.order is None or handled.order is None:
            return handled
        return Handled(last.order, refused=handled.refused)

    def tick(self) -> None:
        """Do what is due."""
        self._carry(self._desk.on_time(self._clock()))

    def notice(self, channel: str, data: bytes) -> Literal["taken", "again", "refused"]:
        """Take a request to our notice address; the channel is answered only after the commit."""
        provider = self._providers.get(channel)
        if provider is None:
            return "refused"
        read = provider.read_notice(data)
        if isinstance(read, Forged):
            return self._desk.on_forged(self._clock(), channel, read.why).verdict
        noted = self._desk.on_notice(self._clock(), channel, read)
        self._carry(noted.sends)
        return noted.verdict

    def _carry(self, sends: Iterable[Send]) -> Handled | None:
        waiting, last = list(sends), None
        while waiting:
            send = waiting.pop(0)
            provider = self._providers.get(send.channel)
            word = NoAnswer("there is no such channel") if provider is None else carry(provider, send.ask)
            last = self._desk.on_answer(self._clock(), send.ask, word)
            waiting += last.sends
        return last
