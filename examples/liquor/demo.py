"""From orders up to yesterday to an order proposal over HTTP, in a folder that is removed afterwards."""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from featurestore.client import Client

HERE = Path(__file__).parent


def run(folder: Path, *command: str) -> None:
    """Run Python in ``folder``, and show what it says."""
    print(f"$ {' '.join(command).replace('-m featurestore.cli', 'featurestore')}", flush=True)
    subprocess.run([sys.executable, *command], cwd=folder, check=True)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run `featurestore serve` over the project, and return its address once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "featurestore.cli", "serve", "--port", str(port)]
    server = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        with Client(url) as client:
            deadline = time.monotonic() + 60
            while not client.is_ready():
                if time.monotonic() > deadline or server.poll() is not None:
                    raise SystemExit("featurestore serve did not start")
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(30)


def main() -> None:
    """Do all of it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "liquor"
        shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("data", ".featurestore", "__pycache__"))
        run(folder, "make_data.py", "--until-yesterday")
        run(folder, "-m", "featurestore.cli", "apply")
        run(folder, "forecast.py")
        run(folder, "stock.py")
        run(folder, "-m", "featurestore.cli", "materialize-incremental")
        with serving(folder) as url:
            run(folder, "serve.py", "S1", "--url", url)


if __name__ == "__main__":
    main()
