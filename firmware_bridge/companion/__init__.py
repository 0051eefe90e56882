"""A board that joins lines to the bus by itself. MicroPython, and CPython for its tests; docs/wire/companion.md."""
