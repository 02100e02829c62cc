"""From payments to a prediction over HTTP, in a folder that is removed afterwards: `make demo` runs it.

Payments up to now are generated; their features are applied, trained on and published; a server answers reads and takes
pushes; and a payment that is made this moment is judged by what it answers, and pushed to it.
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
    """Read the features of a payment from the server, say what the model makes of them, and push the payment there."""
    sys.path.insert(0, str(folder))
    from model import Model  # The copy of this folder, as is the next.
    from serve import chance, vector

    from featurestore.client import Client

    model, now = Model.load(folder / "data" / "model.json"), datetime.now(UTC)
    payment = {"customer_id": 42, "merchant_id": 7, "event_timestamp": now, "amount": 480.0}
    with Client(url, retries=10) as client:
        values = vector(client, payment, model.features)
        began = time.perf_counter()
        client.push("payments", [{**payment, "transaction_id": 1_000_000}])
        moved = vector(client, payment, model.features)
        took = (time.perf_counter() - began) * 1000
    for name, before, after in zip(model.features, values, moved, strict=True):
        print(f"  {name:15} {before}{'' if after == before else f', then {after}'}")
    print(f"a payment of 480.00: chance of fraud {chance(model, values):.3f}")
    print(f"pushed and read again over HTTP in {took:.0f} ms")


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
