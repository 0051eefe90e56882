"""The iotcore wheel as a broker on loopback, anonymous and plain: `python -m venuehub.demo.wheel_broker PORT`."""

import logging
import sys
from typing import Final

MOST_MESSAGE_BYTES: Final = 1 << 20
LOOPBACK: Final = "127.0.0.1"
IN_FLIGHT: Final = 1_000


def main() -> int:
    """Serve until killed."""
    from iotcore import Broker

    # The broker's own tracing calls every packet an error.
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    port = int(sys.argv[1])
    broker = Broker(port, LOOPBACK, max_payload_size=MOST_MESSAGE_BYTES, max_inflight_count=IN_FLIGHT)
    broker.run_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
