"""Policies (teacher and student), their saving and optimizers; loading them, and critics, in folders."""
