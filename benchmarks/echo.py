"""The peer of a bare QoS 1 echo: `python -m benchmarks.echo PORT` answers what is asked, over the hub's own client."""

import asyncio
import sys

from cloud_sync.mqtt_link import MqttLink, MqttSettings

ASK, ANSWER = "bench/echo/ask", "bench/echo/answer"


async def main(port: int) -> None:
    """Answer until ended."""
    async with MqttLink(MqttSettings(host="127.0.0.1", port=port, client_id="echo")) as link:
        await link.subscribe(f"{ASK}/+")
        async for message in link.messages():
            await link.publish_soon(f"{ANSWER}/{message.topic.rpartition('/')[2]}", message.payload)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
