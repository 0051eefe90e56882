"""Faults of an MQTT connection, and how the end of one is told."""

from typing import Final

_HUNG_UP: Final = 0x80
_TAKEN_OVER: Final = 0x8E
_OTHER: Final = "another program connected with the same certificate or client id"


class MqttLinkError(Exception):
    """Base of this door's faults."""


class BrokerUnavailableError(MqttLinkError):
    """The broker cannot be reached, did not answer, or hung up. `where` is host:port, `hint` what to look at."""

    def __init__(self, where: str, hint: str) -> None:
        super().__init__(f"MQTT broker {where}: {hint}")
        self.where = where
        self.hint = hint


class BrokerSilentError(BrokerUnavailableError):
    """A connect had no answer at all, not even a refusal: the broker stands still, or has no room for one more."""


class SubscriptionRefusedError(MqttLinkError):
    """The broker refused a topic filter; `topic` names it, `code` is the SUBACK's."""

    def __init__(self, topic: str, code: int) -> None:
        super().__init__(f"the broker refused topic {topic!r} with code 0x{code:02x}: look at its access list")
        self.topic = topic
        self.code = code


class PublishRefusedError(MqttLinkError):
    """A broker of version 5 acknowledged a publish with a refusal (an older one says nothing: M6 in security.md)."""

    def __init__(self, topic: str, code: int) -> None:
        super().__init__(f"the broker refused a publish to {topic!r} with code 0x{code:02x}: look at its access list")
        self.topic = topic
        self.code = code


def why_lost(code: int, text: str) -> str:
    """Say how a connection ended: by its code where that says it, else as `text`.

    Some brokers end one that another took over without saying so.
    """
    if code == _TAKEN_OVER:
        return _OTHER
    return f"the broker hung up without a word: it ended, or {_OTHER}" if code == _HUNG_UP else text
