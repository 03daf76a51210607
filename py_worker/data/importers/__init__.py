"""Importers of the datasets that the literature's tables use: one module each, and their registry.

An importer reads a hub dataset or a file in the shape that its authors published it in, and yields rows of
splits. A new one is a module with an `IMPORTER` and a line in `IMPORTERS` (`registry.py`).
"""
