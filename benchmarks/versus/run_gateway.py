"""Runs thingsboard-gateway without its update check (3.8.5 has no setting for it) and without pip at run time.

python run_gateway.py CONFIG_DIR        with the python of the gateway's own virtual environment
"""

import os
import sys

from thingsboard_gateway.gateway.tb_gateway_service import TBGatewayService
from thingsboard_gateway.tb_utility import tb_updater, tb_utility


def _installs_nothing(*wanted: object, **_more: object) -> None:
    message = f"it would install {wanted}"
    raise ImportError(message)


tb_updater.TBUpdater.check_for_new_version = lambda _self: None
tb_utility.TBUtility.install_package = staticmethod(_installs_nothing)
os.makedirs("logs", exist_ok=True)  # noqa: PTH103 - it does not make it itself
TBGatewayService(os.path.join(sys.argv[1], "tb_gateway.json"))  # noqa: PTH118
