"""The hub's own program, with short waits for its neighbours: what takes a minute in a hall takes two seconds here."""

import sys

from cloud_sync import upload_sealing
from edge_agent import app
from edge_agent.lan import carrying, handing

handing.HERE_MS = 400
handing.SILENT_MS = carrying.SILENT_MS = 2_500
handing.AGAIN_MS = carrying.AGAIN_MS = 1_000
upload_sealing.ALONE_AGE_MS = 500

if __name__ == "__main__":
    sys.exit(app.main())
