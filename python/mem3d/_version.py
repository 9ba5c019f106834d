"""The version of the package, from its metadata."""

import importlib.metadata

__version__ = importlib.metadata.version("mem3d")
