"""The vault: what money may do, as pure functions and values. Imports msgspec and the standard library only."""
