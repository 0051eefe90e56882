"""Codecs: bytes in, values out, and back. Pure; knows bytes, not money. Imports nothing of ours."""
