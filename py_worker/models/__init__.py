"""Policies (teacher and student), critics, their loading, saving and optimizers."""
