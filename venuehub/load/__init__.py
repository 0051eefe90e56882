"""Many hubs from one process, over real MQTT and TLS: the uplinks that ship, over journals in memory."""
