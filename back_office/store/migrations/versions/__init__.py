"""One migration per file, in order; a released one never changes."""
