"""``python -m featurestore.cli``: the command line where the script is not on the path."""

from __future__ import annotations

from featurestore.cli import main

main()
