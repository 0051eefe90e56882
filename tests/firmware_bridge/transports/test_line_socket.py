import asyncio
import contextlib
from pathlib import Path

import pytest

from firmware_bridge.simulators.game_machine import Booth, GameMachine
from firmware_bridge.transports.interface import TransportClosedError, TransportError
from firmware_bridge.transports.line_socket import open_line_socket


@contextlib.asynccontextmanager
async def machine(folder: Path):
    booth = Booth(GameMachine())
    server = await asyncio.start_unix_server(booth.serve, folder / "m.sock")
    async with server:
        yield booth, str(folder / "m.sock")


def test_levels_go_out_and_edges_come_in(tmp_path):
    async def story() -> None:
        async with machine(tmp_path) as (booth, place):
            lines = await open_line_socket(place, outputs={"coin": "low"}, inputs={"ready": "low"})
            first = await lines.edge()
            assert (first.line, first.active) == ("ready", True)
            booth.command(["jam"])
            second = await lines.edge()
            assert (second.active, second.at_ns > first.at_ns) == (False, True)
            await lines.set("coin", active=True)
            await asyncio.sleep(0.025)
            lines.close()
            lines.close()
            with pytest.raises(TransportClosedError):
                await lines.set("coin", active=True)
            with pytest.raises(TransportClosedError):
                await lines.edge()

    asyncio.run(asyncio.wait_for(story(), 10))


def test_a_high_active_input_and_tcp_and_noise(tmp_path):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'garbage\n{"line":"other","level":1,"at_ns":1}\n{"line":"ready","level":1,"at_ns":7}\n')
        seen.append(await reader.readline())
        writer.close()

    seen: list[bytes] = []

    async def story() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            lines = await open_line_socket(f"tcp:127.0.0.1:{port}", outputs={"coin": "high"}, inputs={"ready": "high"})
            edge = await lines.edge()
            assert (edge.line, edge.active, edge.at_ns, lines.noise_bytes) == ("ready", True, 7, 7)
            await lines.set("coin", active=True)
            with pytest.raises(TransportClosedError, match="Is the simulated machine running"):
                await lines.edge()
            with pytest.raises(TransportClosedError):
                await lines.set("coin", active=False)
            lines.close()

    asyncio.run(asyncio.wait_for(story(), 10))
    assert seen[0].startswith(b'{"line":"coin","level":1,"at_ns":')


@pytest.mark.parametrize("place", ["/no/such.sock", "tcp:127.0.0.1:1", "tcp:127.0.0.1:nine"])
def test_nobody_there_is_named(place):
    with pytest.raises(TransportError, match=r"cannot connect .*Is the simulated machine running"):
        asyncio.run(open_line_socket(place, outputs={}, inputs={}))
