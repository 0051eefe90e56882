"""The demo venue: every program as its own process over a real broker, and guests who play. May import every room."""
