"""Takes the office's events: checks who signed each, and takes each one once.

Run: `VENUEHUB_SECRET=… python webhook_receiver.py`. The secret is what the API showed when the webhook was made, 64
hexadecimal digits.
"""

import hmac
import json
import os
import time
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer

OLDEST_S = 300
"""A call that was signed longer ago is an old one that somebody sends again."""
MOST_BYTES = 1_048_576
PORT = 8099


def is_ours(secret: bytes, signature: str, body: bytes, *, now_s: float) -> bool:
    """Say whether `Venuehub-Signature: t=SECONDS,v1=HEX` is the office's, over `SECONDS.body`, and of just now."""
    parts = dict(part.partition("=")[::2] for part in signature.split(","))
    seconds, mac = parts.get("t", ""), parts.get("v1", "")
    expected = hmac.new(secret, f"{seconds}.".encode() + body, sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), mac.encode()) or not seconds.isdecimal():
        return False
    return abs(now_s - int(seconds)) <= OLDEST_S


class Receiver(BaseHTTPRequestHandler):
    """One webhook's end. Events are numbered, and only rise: one that came before is one whose answer was lost."""

    secret = b""
    newest = 0

    def do_POST(self) -> None:
        """Take one event: 2xx says that it is taken, anything else that it is to come again."""
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), MOST_BYTES))
        if not is_ours(self.secret, self.headers.get("Venuehub-Signature", ""), body, now_s=time.time()):
            self.send_error(401)
            return
        event = json.loads(body)
        if event["number"] > Receiver.newest:
            print(f"{event['number']} {event['event']}: {event['what']}")
            Receiver.newest = event["number"]  # a program of yours keeps this with what it does
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    Receiver.secret = bytes.fromhex(os.environ["VENUEHUB_SECRET"])
    HTTPServer(("127.0.0.1", PORT), Receiver).serve_forever()
