"""certctl-connectors: puts TLS certificates where they are served from, and proves it.

Importing this package does nothing; `python -m app` is the command line.
"""

__version__ = "0.1.0"
