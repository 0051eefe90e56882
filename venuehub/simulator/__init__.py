"""The deterministic simulator and its mutants: a hub, a bridge and an office in one process. May import every room."""
