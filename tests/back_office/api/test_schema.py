"""What the API describes is what it does: requests made from its description, through ASGI, without a network."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import positive_data_acceptance

from back_office.api.app import ROOT
from back_office.store.api_keys import ROLES
from tests.back_office.api.desk import Api
from tests.back_office.world import Office

EVERY, SOME = 25, 1
MADE_UP = [positive_data_acceptance]
"""No schema says which cursors and ids are ours: those that are made up may be refused."""


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Return the API's description, and a key of each role."""
    office = Office(tmp_path_factory.mktemp("office"))
    office.top_up(1_000)
    office.lease()
    office.hub.held(200)
    office.hub.captured(200)
    office.take(office.hub.batch())
    api = Api(office)
    schema = schemathesis.openapi.from_asgi(f"{ROOT}/openapi.json", api.app)
    yield schema, {role: api.key(role) for role in ROLES}, api
    office.store.close()


def drive(asked, examples):
    schema, keys, api = asked
    wrong = []
    for found in schema.get_all_operations():
        operation = found.ok()
        role = "operator" if "operator" in operation.definition.raw["x-roles"] else "auditor"
        for mode in GenerationMode:
            try:
                _ask(api, operation, mode, keys[role], examples)
            except FailureGroup as failed:
                wrong += [f"{operation.label}: {one}" for one in failed.exceptions]
            except Unsatisfiable:  # nothing about it can be wrong
                assert mode is GenerationMode.NEGATIVE
    assert wrong == []


def _ask(api, operation, mode, key, examples):
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=HealthCheck)
    def ask(case):
        api.seconds += 10  # whoever tries this hard may ask as often as this
        case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, excluded_checks=MADE_UP)

    ask()


@pytest.mark.long
def test_it_does_what_it_describes(asked):
    drive(asked, SOME)


@pytest.mark.full
def test_it_does_what_it_describes_whatever_is_asked(asked):
    drive(asked, EVERY)
