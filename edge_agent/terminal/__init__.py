"""The guest pages, a process of their own and one more client of the device bus.

May import `payment_core` and `cloud_sync.mqtt_link`, nothing else of ours.
"""
