"""Devices that speak the real bytes, each in a process of its own. Imports wire and transports; never a driver."""
