"""The guest pages, a process of their own: one more client of the device bus. Imports payment_core and cloud_sync.mqtt_link."""
