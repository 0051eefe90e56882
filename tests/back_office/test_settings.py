"""Addresses as they are written on the command line."""

from pathlib import Path

import pytest

from back_office import settings
from back_office.settings import HttpAddress, SettingsError, api_address, broker_settings, http_address

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


def test_the_api_is_on_this_machine_or_behind_tls():
    for here in ("127.0.0.1", "localhost", "[::1]"):
        assert api_address(f"{here}:8081", behind_tls=False).host == here
    with pytest.raises(SettingsError, match="--api-behind-tls"):
        api_address("10.0.0.5:8081", behind_tls=False)
    assert api_address("10.0.0.5:8081", behind_tls=True) == HttpAddress("10.0.0.5", 8081)
    for wrong in ("here", "127.0.0.1:0"):
        with pytest.raises(SettingsError, match=r"write 127\.0\.0\.1:8081"):
            api_address(wrong, behind_tls=False)


def test_books_are_where_the_folder_says_and_a_password_is_never_in_argv(tmp_path):
    assert settings.database_url(tmp_path) == f"sqlite:///{tmp_path}/office.sqlite"
    assert settings.database_url(tmp_path, "postgresql://me@db/books") == "postgresql+psycopg://me@db/books"
    for shown in (
        "postgresql://me:secret@db/books", "postgresql://me@db/books?password=secret", "postgresql://me:[secret@db/books"
    ):  # fmt: skip
        with pytest.raises(settings.SettingsError, match=r"others see a password there; .*db\.url") as told:
            settings.database_url(tmp_path, shown)
        assert "secret" not in str(told.value)
    with pytest.raises(settings.SettingsError, match=r"--db: .*; write postgresql://"):
        settings.database_url(tmp_path, "mysql://me@db/books")
    file = tmp_path / "db.url"
    file.write_text("postgresql://me:secret@db/books\n")
    file.chmod(0o644)
    with pytest.raises(settings.SettingsError, match=r"db\.url: can be read by others; chmod 600 .*db\.url"):
        settings.database_url(tmp_path)
    file.chmod(0o600)
    assert settings.database_url(tmp_path) == "postgresql+psycopg://me:secret@db/books"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is empty"), ("secret", "is no database"), ("mysql://me:secret@db/books", "is no database"),
        ("postgresql://me:secret@db:port/books", "is no database"),
        ("postgresql://me@db/books?password=secret", "is no database"),
        ("postgresql://me:sec#secret@db/books", "is no database"),
        ("postgresql://me:[secret@db/books", "is no database"),
    ],
)  # fmt: skip
def test_a_file_that_names_no_books_is_named_and_what_stands_there_is_not_told(tmp_path, text, what):
    file = tmp_path / "db.url"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(settings.SettingsError, match=rf"db\.url: {what}.*; write postgresql://.* as %2F") as told:
        settings.database_url(tmp_path)
    assert "secret" not in str(told.value)


def test_a_url_is_kept_for_its_owner_alone(tmp_path):
    settings.keep_database_url(tmp_path, "postgresql://me@db/books")
    assert (tmp_path / "db.url").stat().st_mode & 0o777 == 0o600
    assert settings.database_url(tmp_path) == "postgresql+psycopg://me@db/books"


@pytest.mark.parametrize(("text", "found"), [("0-2", (0, 1, 2)), ("63", (63,)), ("7,3,7", (3, 7)), ("0,2", (0, 2))])
def test_partitions_are_read(text, found):
    assert settings.partitions_asked(text) == found


@pytest.mark.parametrize("text", ["", "64", "0-64", "a", "5-3", "-3", "1-"])
def test_what_are_no_partitions_is_told(text):
    with pytest.raises(settings.SettingsError, match="--partitions"):
        settings.partitions_asked(text)
