"""What object stores say of credentials, which a stand-in that takes any of them never does."""

from __future__ import annotations

import pytest

from featurestore import FileSource
from featurestore.errors import ConfigurationError
from featurestore.run.unreadable import unreadable

S3 = FileSource("s3://shop/rows.parquet?X-Amz-Signature=secret", "rows", file_format="parquet")


@pytest.mark.parametrize(
    "said",
    [
        "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 1ms - 403 Forbidden",
        "Server returned non-2xx status code: 403 Forbidden: <Error><Code>InvalidAccessKeyId</Code></Error>",
        "The operation lacked valid authentication credentials",
    ],
)
def test_credentials_that_are_not_taken_are_an_error_that_says_where_they_are_looked_for(said: str) -> None:
    error = unreadable(S3, OSError(said))
    assert isinstance(error, ConfigurationError)
    assert "AWS_ACCESS_KEY_ID" in str(error)
    assert "secret" not in str(error)


def test_what_is_not_known_is_told_as_it_was_said() -> None:
    assert "OSError: the disk of the store burns" in str(unreadable(S3, OSError("the disk of the store burns <xml/>")))
