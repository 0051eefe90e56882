"""Addresses as they are written on the command line."""

from pathlib import Path

import pytest

from back_office.settings import HttpAddress, SettingsError, broker_settings, http_address

FOLDER = Path("/srv/office")


def test_a_plain_broker():
    broker = broker_settings("mqtt://broker.example:1884", FOLDER)
    assert (broker.host, broker.port, broker.ca_file) == ("broker.example", 1884, "")
    assert broker_settings("mqtt://127.0.0.1", FOLDER).port == 1883


def test_a_broker_with_tls_uses_the_folders_files():
    broker = broker_settings("mqtts://broker.example", FOLDER)
    assert (broker.port, broker.ca_file, broker.key_file) == (8883, "/srv/office/ca.crt", "/srv/office/office.pem")


@pytest.mark.parametrize(
    "url", ["", "broker:1883", "http://broker", "mqtt://", "mqtt://broker:0", "mqtt://b:x", "mqtt://b/topic"]
)
def test_no_broker(url):
    with pytest.raises(SettingsError, match="--broker"):
        broker_settings(url, FOLDER)


def test_http_addresses():
    assert http_address("127.0.0.1:8080") == HttpAddress("127.0.0.1", 8080)
    assert http_address("0") == HttpAddress("127.0.0.1", 0)
    for wrong in ("here", "127.0.0.1:", "127.0.0.1:99999"):
        with pytest.raises(SettingsError, match="--http"):
            http_address(wrong)
