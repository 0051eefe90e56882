"""Pipes that never look inside: serial ports, lines, sockets, memory. Imports wire for framing of its own sockets only."""
