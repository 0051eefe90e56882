"""The room's wall: the guest pages hold no key and no ledger."""

import ast
from pathlib import Path

ROOM = Path(__file__).parents[3] / "edge_agent" / "terminal"
OURS = ("payment_core", "device_profiles", "cloud_sync", "firmware_bridge", "edge_agent", "back_office", "provisioning")


def test_the_room_imports_the_vault_the_link_and_itself_only():
    found = set()
    for path in ROOM.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            found |= {name for name in names if name.partition(".")[0] in OURS}
    allowed = ("payment_core.", "edge_agent.terminal.", "cloud_sync.mqtt_link", "cloud_sync.ending")
    strangers = {name for name in found if not name.startswith(allowed)}
    assert strangers == set()
