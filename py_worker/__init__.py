"""The PyTorch worker of ammd: hosts teacher, student and critics, and runs the operations it is sent."""
