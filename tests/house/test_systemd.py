"""The files of systemd/: every unit is in its sandbox, starts a command that exists, and finds its user and folders."""

import re

import pytest

from tests.support.tree import ROOT
from venuehub import cli

UNITS = sorted((ROOT / "systemd/system").glob("*.service"))
SANDBOX = {
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "DevicePolicy=closed",
    "ProtectProc=invisible",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    "RestrictNamespaces=yes",
    "CapabilityBoundingSet=",
    "SystemCallFilter=@system-service",
    "UMask=0077",
    "IPAddressDeny=any",
    "LimitCORE=0",
    "Restart=always",
}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_in_its_sandbox(unit):
    assert SANDBOX - set(unit.read_text().splitlines()) == set()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_runs_as_a_user_that_is_made_and_never_as_root(unit):
    (user,) = re.findall(r"^User=(.+)$", unit.read_text(), flags=re.MULTILINE)
    users = re.findall(r"^u +(\S+)", (ROOT / "systemd/sysusers.d/venuehub.conf").read_text(), flags=re.MULTILINE)
    assert user in users
    assert user != "root"


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_starts_a_command_that_exists(unit, capsys):
    (line,) = re.findall(r"^ExecStart=\S+/venuehub (.+)$", unit.read_text(), flags=re.MULTILINE)
    noun, verb, *rest = line.split()
    assert cli.main([noun, verb, "--help"]) == 0
    told = capsys.readouterr().out
    assert [word for word in rest if word.startswith("--") and f"{word} " not in told] == []


def test_only_the_bridge_may_open_a_device():
    with_devices = [unit.stem for unit in UNITS if "PrivateDevices=no" in unit.read_text()]
    assert with_devices == ["venuehub-bridge"]


def test_nobody_both_writes_and_reads_a_topic():
    rules = (ROOT / "systemd/mosquitto/venuehub.acl").read_text()
    for user in rules.split("\nuser ")[1:]:
        written = set(re.findall(r"^topic write (\S+)", user, flags=re.MULTILINE))
        read = set(re.findall(r"^topic read (\S+)", user, flags=re.MULTILINE))
        assert written & read == set()


def test_the_brokers_settings_switch_delays_off_and_strangers_out():
    settings = (ROOT / "systemd/mosquitto/venuehub.conf").read_text().splitlines()
    assert {"set_tcp_nodelay true", "allow_anonymous false"} <= set(settings)
