"""A real mosquitto for a test, and a peer of a few hand-written bytes for what mosquitto never says."""

import contextlib
import shutil
import socket
import subprocess
import threading
from pathlib import Path

from venuehub.demo.brokers import free_port

BASE = """
listener {port} 127.0.0.1
persistence false
user root
set_tcp_nodelay true
log_dest stderr
max_inflight_messages 1000
max_queued_messages 100000
"""


@contextlib.contextmanager
def mosquitto(folder: Path, extra: str = "allow_anonymous true\n"):
    """Run a broker and yield (port, process) once it says that it is running."""
    port = free_port()
    with running(folder, BASE.format(port=port) + extra) as process:
        yield port, process


@contextlib.contextmanager
def running(folder: Path, text: str):
    """Run a broker with these settings; yield its process once it says that it is running."""
    settings = folder / "mosquitto.conf"
    settings.write_text(text)
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    process = subprocess.Popen([program, "-c", str(settings)], stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if "running" in line:
                break
        else:
            message = "mosquitto did not start"
            raise AssertionError(message)
        yield process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@contextlib.contextmanager
def scripted_peer(*answers):
    """Accept one connection per item; send its bytes, in turn, one per packet that arrives; then hang up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        for packets in answers:
            peer, _ = listener.accept()
            with peer:
                for packet in packets:
                    if not peer.recv(4_096):
                        return
                    peer.sendall(packet)
                if packets:
                    peer.recv(4_096)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        thread.join(5)
