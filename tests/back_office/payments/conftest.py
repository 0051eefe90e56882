"""A counter for every test of this room."""

import pytest

from tests.back_office.payments.world import Counter


@pytest.fixture
def counter(office):
    return Counter(office)
