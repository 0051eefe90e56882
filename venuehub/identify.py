"""`venuehub device identify` and `check --bridge`: one harmless question on the device bus, and its answer."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Final

from cloud_sync.mqtt_link import Inbound, MqttLink, MqttSettings
from payment_core.bus import Birth, bridge_topic, decode, device_topic, encode, parse_topic
from payment_core.commands import Identify, Result, make_command
from payment_core.errors import MalformedMessageError
from payment_core.preparing import Prepare, Prepared

BIRTH_S: Final = 2.0
RESULT_S: Final = 5.0
COMMAND_TTL_MS: Final = 2_000
PREPARED_S: Final = 120.0
"""A dry run takes some seconds per profile; one that does not hold takes longest."""


class DeviceSilentError(Exception):
    """No bridge knows the device, or none answers: the text names it, and what to look at."""


async def identify(device: str, mqtt: MqttSettings, *, seconds: int) -> Result:
    """Ask the bridge of `device` to let it blink or beep; DeviceSilentError where no bridge knows it or answers.

    The command carries no money and the number 0: the numbers that rise belong to the hub.
    """
    async with MqttLink(mqtt) as link:
        await link.subscribe(device_topic("+", device, "birth"), device_topic("+", device, "result"))
        messages = link.messages()
        hub, birth = await _birth(messages, device)
        command = make_command(
            Identify(seconds), command_id=str(uuid.uuid4()), seq=0, boot_id=birth.boot_id, ttl_ms=COMMAND_TTL_MS
        )
        await link.publish(device_topic(hub, device, "command"), encode(command))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RESULT_S + seconds):
                return await _result(messages, command.id)
    message = f"{device}: its bridge {birth.bridge} does not answer: is it running?"
    raise DeviceSilentError(message)


async def prepare(bridge: str, mqtt: MqttSettings, *, profiles: tuple[str, ...]) -> Prepared:
    """Ask a bridge for a dry run of profiles, none for those of its devices; DeviceSilentError where none answers."""
    async with MqttLink(mqtt) as link:
        await link.subscribe(device_topic("+", bridge, "birth"), bridge_topic("+", bridge, "bridge_result"))
        messages = link.messages()
        hub, _ = await _birth(messages, bridge)
        question = Prepare(str(uuid.uuid4()), profiles)
        await link.publish(bridge_topic(hub, bridge, "bridge_command"), encode(question))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PREPARED_S):
                return await _prepared(messages, question.id)
    message = f"{bridge}: this bridge does not answer: is it running, and of this release?"
    raise DeviceSilentError(message)


async def _prepared(messages: AsyncIterator[Inbound], question_id: str) -> Prepared:
    while True:
        message = await anext(messages)
        address = parse_topic(message.topic)
        if address is None or address.leaf != "bridge_result":
            continue
        with contextlib.suppress(MalformedMessageError):  # somebody else's answer is not ours to judge
            answer = decode(address.leaf, message.payload)
            if isinstance(answer, Prepared) and answer.id == question_id:
                return answer


async def _birth(messages: AsyncIterator[Inbound], device: str) -> tuple[str, Birth]:
    """Return the hub's id and the device's birth message, which the broker keeps."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(BIRTH_S):
            while True:
                message = await anext(messages)
                address = parse_topic(message.topic)
                born = decode("birth", message.payload) if address and address.leaf == "birth" else None
                if address is not None and isinstance(born, Birth):
                    return address.hub, born
    text = f"{device}: no bridge has announced this device: is the name right, and is its bridge running?"
    raise DeviceSilentError(text)


async def _result(messages: AsyncIterator[Inbound], command_id: str) -> Result:
    while True:
        message = await anext(messages)
        if not message.topic.endswith("/result"):
            continue
        with contextlib.suppress(MalformedMessageError):  # somebody else's answer is not ours to judge
            result = decode("result", message.payload)
            if isinstance(result, Result) and result.id == command_id:
                return result
