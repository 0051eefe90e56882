"""Faults that end a driver; the bridge tells them as the device's state and starts the driver again with back-off."""


class DriverError(Exception):
    """A device cannot be driven; the text names the device's place and the remedy."""
