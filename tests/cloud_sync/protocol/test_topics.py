"""Topics of the uplink, there and back."""

import pytest

from cloud_sync.protocol import topics

HUB = bytes.fromhex("019399a0000070008000000000000001")
TEXT = "019399a0-0000-7000-8000-000000000001"
P = f"p{topics.partition(HUB):02d}"


def test_topics():
    assert topics.partition(HUB) == 62
    assert topics.hub_topic(HUB, "up", "batch") == f"vh/1/p62/{TEXT}/up/batch"
    assert topics.hub_filters(HUB, HUB) == (f"vh/1/p62/{TEXT}/down/#", f"vh/1/tenant/{TEXT}/document/+")


def test_round_trip():
    address = topics.parse_hub_topic(topics.hub_topic(HUB, "down", "document/prices"))
    assert address == topics.UplinkAddress(HUB, "down", "document/prices")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "vh/1/p62",
        f"vh/2/p62/{TEXT}/up/batch",
        f"vh/1/p61/{TEXT}/up/batch",
        f"vh/1/p62/{TEXT.upper()}/up/batch",
        f"vh/1/p62/{TEXT}/side/batch",
        "vh/1/p62/hub-1/up/batch",
        f"vd/1/p62/{TEXT}/up/batch",
    ],
)
def test_what_is_no_hubs_topic(topic):
    assert topics.parse_hub_topic(topic) is None
