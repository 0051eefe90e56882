"""Pipes that never look inside: serial ports, lines, sockets, memory. Imports wire for its own sockets' framing."""
