"""The state of a session, and what an operation knows of its request: all that operations work with."""
