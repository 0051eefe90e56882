"""An office in a temporary folder for every test of this room."""

import pytest

from tests.back_office.world import Office


@pytest.fixture
def office(tmp_path):
    made = Office(tmp_path)
    yield made
    made.store.close()
