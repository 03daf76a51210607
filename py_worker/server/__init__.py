"""Socket thread, operation loop, codec and session."""
