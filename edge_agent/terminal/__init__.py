"""The guest pages, a process of their own and one more client of the device bus.

May import `payment_core`, `cloud_sync.mqtt_link` and `cloud_sync.ending`, nothing else of ours.
"""
