"""`venuehub terminal run` tells what is wrong with its settings."""

import socket

import pytest

from venuehub.cli import main

WELL = ["terminal", "run", "--hub", "hub-1", "--broker", "mqtt://127.0.0.1:1"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--broker", "localhost"], "--broker: 'localhost' is not an address"),
        (["--http", "127.0.0.1:http"], "--http: '127.0.0.1:http' is not an address"),
        (["--http", "127.0.0.1:99999"], "--http: '127.0.0.1:99999': there is no port 99999"),
        (["--broker", "mqtt://x:70000"], "there is no port 70000"),
        (["--language", "th"], "--language: 'th' has no texts"),
        (["--password-file", "/nowhere/secret"], "--password-file: /nowhere/secret: No such file"),
    ],
)
def test_a_wrong_setting_is_named(capsys, more, said):
    assert main([*WELL, *more]) == 2
    assert said in capsys.readouterr().err


def test_an_address_that_is_taken_is_named_with_its_remedy(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main([*WELL, "--http", f"127.0.0.1:{port}"]) == 69
    assert f"cannot be served at 127.0.0.1:{port}: Address already in use\n  remedy: choose another" in (
        capsys.readouterr().err
    )
