"""From payments to a prediction over HTTP, in a folder that is removed afterwards: `make demo` runs it.

Payments up to now are generated; their features are applied, trained on and published; a server answers reads and takes
pushes; and a payment that is made this moment is pushed to it, read back as a vector, and judged.
"""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
SERVICE = "fraud_detection_v1"


def run(folder: Path, *command: str) -> None:
    """Run Python in ``folder``, and show what it says."""
    print(f"$ {' '.join(command).replace('-m featurestore.cli', 'featurestore')}", flush=True)
    subprocess.run([sys.executable, *command], cwd=folder, check=True)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run `featurestore serve` over the project, and return its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "featurestore.cli", "serve", "--port", str(port)]
    server = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def judged(folder: Path, url: str) -> None:
    """Push a payment to the server, read its features there, and say what the model makes of them."""
    sys.path.insert(0, str(folder))
    from model import Model  # The copy of this folder, as is the next.
    from serve import chance, vector

    from featurestore.client import Client

    model = Model.load(folder / "data" / "model.json")
    key = {"customer_id": 42, "merchant_id": 7}
    now = datetime.now(UTC)
    payment = {**key, "event_timestamp": now.isoformat(), "amount": 480.0, "hour_of_day": now.hour}
    with Client(url, retries=10) as client:
        began = time.perf_counter()
        client.push("payments", [payment])
        answer = client.get_online_features(SERVICE, [key])
        took = (time.perf_counter() - began) * 1000
    values = vector(answer.to_dict(), model.features)
    for name, value in zip(model.features, values, strict=True):
        print(f"  {name:15} {value}")
    print(
        f"a payment of 480.00, pushed and read over HTTP in {took:.0f} ms: chance of fraud {chance(model, values):.3f}"
    )


def main() -> None:
    """Do all of it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "fraud"
        shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("data", ".featurestore", "__pycache__"))
        run(folder, "make_data.py", "--until-now")
        run(folder, "-m", "featurestore.cli", "apply")
        run(folder, "build_training.py")
        run(folder, "-m", "featurestore.cli", "materialize-incremental")
        run(folder, "-m", "featurestore.cli", "skew", "--sample", "50")
        with serving(folder) as url:
            judged(folder, url)


if __name__ == "__main__":
    main()
