from __future__ import annotations

import pytest

from featurestore.repository.clocks import clock_calls
from tests.repository.projects import Project


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("import datetime\ndef f(): return datetime.datetime.now()", ("datetime.datetime.now() at line 2",)),
        ("from datetime import datetime as dt\ndef f(): return dt.utcnow()", ("dt.utcnow() at line 2",)),
        ("from datetime import date\ndef f():\n return date.today()", ("date.today() at line 3",)),
        ("from time import time as clock\ndef f(): return clock()", ("clock() at line 2",)),
        ("def f():\n import time\n return time.time_ns()", ("time.time_ns() at line 3",)),
        ("def f():\n from datetime import datetime\n return datetime.now()", ("datetime.now() at line 3",)),
        ("import pandas as pd\ndef f(): return pd.Timestamp.now()", ("pd.Timestamp.now() at line 2",)),
        ("from pandas import Timestamp\ndef f(): return Timestamp.today()", ("Timestamp.today() at line 2",)),
        ("from datetime import datetime\ndef f(datetime): return datetime.now()", ()),
        ("from datetime import datetime\ndef f(when): return datetime.fromtimestamp(0)", ()),
        ("class time:\n time = print\ndef f(): return time.time()", ()),
    ],
)
def test_calls_that_read_the_clock_are_found(project: Project, text: str, calls: tuple[str, ...]) -> None:
    assert clock_calls(project.run(text).f) == calls


def test_a_function_without_source_has_none_to_show() -> None:
    names: dict[str, object] = {}
    exec("import time\ndef f(): return time.time()", names)
    assert clock_calls(names["f"]) == ()  # type: ignore[arg-type]  # it is the function
