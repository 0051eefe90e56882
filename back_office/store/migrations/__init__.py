"""How the office's database came to be, one file per step; run by store/engine.py at init and at start."""
