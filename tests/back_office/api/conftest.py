"""The API over the office of this room's tests."""

import pytest

from tests.back_office.api.desk import Api


@pytest.fixture
def api(office):
    return Api(office)
