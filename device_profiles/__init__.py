"""The catalog: what each kind of device is, as data. Imports payment_core, msgspec and the standard library."""
