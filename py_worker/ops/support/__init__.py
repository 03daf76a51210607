"""What operations are made of, and no operation itself."""
