"""The way to the demo's control."""

import asyncio

import pytest

from back_office.console.demo_control import DemoControl, DemoControlError
from back_office.console.interface import ButtonResult


async def serve(answer, start):
    asked = []

    async def on_client(reader, writer):
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode())
        writer.write(answer)
        writer.close()

    return await start(on_client), asked


def http(status, body):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}".encode()


def test_an_action_is_posted_to_a_port_and_its_lines_come_back():
    async def story():
        answer = http("200 OK", "the uplink is down\n网线已拔掉\nmore")
        server, asked = await serve(answer, lambda each: asyncio.start_server(each, "127.0.0.1", 0))
        async with server:
            port = server.sockets[0].getsockname()[1]
            said = await DemoControl(f"http://127.0.0.1:{port}/")("uplink_cut")
        assert said == ButtonResult(en="the uplink is down", zh="网线已拔掉")
        assert asked == ["POST /uplink_cut HTTP/1.1"]

    asyncio.run(story())


def test_an_action_is_posted_to_a_unix_socket(tmp_path):
    async def story():
        path = str(tmp_path / "control")
        server, asked = await serve(http("200 OK", "jammed"), lambda each: asyncio.start_unix_server(each, path))
        async with server:
            assert await DemoControl(f"unix:{path}")("machine_jam") == ButtonResult(en="jammed", zh="jammed")
        assert asked == ["POST /machine_jam HTTP/1.1"]

    asyncio.run(story())


def test_a_refusal_is_told_with_its_text():
    async def story():
        server, _asked = await serve(
            http("409 Conflict", "no machine runs"), lambda each: asyncio.start_server(each, "127.0.0.1", 0)
        )
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(DemoControlError, match="no machine runs"):
                await DemoControl(f"http://127.0.0.1:{port}")("machine_jam")

    asyncio.run(story())


def test_a_demo_that_has_ended_is_told():
    with pytest.raises(DemoControlError, match="is the demo still running"):
        asyncio.run(DemoControl("unix:/nowhere/control")("hub_kill"))


@pytest.mark.parametrize("url", ["", "https://127.0.0.1:1", "http://192.0.2.1:80", "http://127.0.0.1", "unix:"])
def test_only_the_own_machine_is_talked_to(url):
    with pytest.raises(DemoControlError, match=r"use http://127\.0\.0\.1:PORT or unix:"):
        DemoControl(url)
