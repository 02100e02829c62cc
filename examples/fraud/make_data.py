"""Write the tables of this example into data/: of payments that are generated, or of the Fraud Detection Handbook's.

python make_data.py                                  generated: 90 days, always the same
python make_data.py --until-now                      the same payments, the last of them made right now
python make_data.py --handbook transactions.parquet  the handbook's file; a terminal is the merchant
"""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

DATA = Path(__file__).parent / "data"
START = datetime(2024, 1, 1)
OUTCOME_DELAY = timedelta(days=7)
"""How long after a payment it is known whether it was fraud."""
OUTCOME_DELAY = timedelta(days=7)
"""How long after a payment it is known whether it was fraud."""
OUTCOME_DELAY = timedelta(days=7)
"""How long after a payment it is known whether it was fraud."""


def generated(*, customers: int = 400, merchants: int = 80, days: int = 90, seed: int = 7) -> pl.DataFrame:
    """Return payments; those that are fraud are large, or made where a terminal was tampered with, or neither."""
    random = np.random.default_rng(seed)
    n = customers * days
    customer, merchant = random.integers(1, customers + 1, n), random.integers(1, merchants + 1, n)
    second = np.sort(random.integers(0, days * 86_400, n))
    usual = random.lognormal(3.5, 0.6, customers + 1)  # What each customer pays on average.
    amount = usual[customer] * random.lognormal(0.0, 0.5, n)
    tampered_from = random.integers(-days, days * 86_400, merchants + 1)
    tampered = (second >= tampered_from[merchant]) & (second < tampered_from[merchant] + 25 * 86_400)
    stolen = (tampered & (random.random(n) < 0.25)) | (random.random(n) < 0.005)
    large = stolen & (random.random(n) < 0.5)
    content = random.normal(4.0, 0.6, n) - 1.5 * stolen
    return pl.DataFrame(
        {
            "transaction_id": np.arange(n),
            "customer_id": customer,
            "merchant_id": merchant,
            "event_timestamp": pl.Series(second * 1_000_000).cast(pl.Duration("us")) + START,
            "amount": np.round(np.where(large, amount * 4, amount), 2),
            "rating": np.clip(np.round(content), 1, 5),
            "is_fraud": stolen,
        }
    )


def handbook(path: Path) -> pl.DataFrame:
    """Return the handbook's payments. They come without ratings: a payment counts as a 5, a disputed one as a 1."""
    is_fraud = pl.col("TX_FRAUD") == 1
    return pl.read_parquet(path).select(
        transaction_id="TRANSACTION_ID",
        customer_id="CUSTOMER_ID",
        merchant_id="TERMINAL_ID",
        event_timestamp=pl.col("TX_DATETIME").cast(pl.Datetime("us")),
        amount="TX_AMOUNT",
        rating=pl.when(is_fraud).then(1.0).otherwise(5.0),
        is_fraud=is_fraud,
    )


def shifted(payments: pl.DataFrame, last: datetime) -> pl.DataFrame:
    """Return the payments by whole seconds later or earlier, so that the last is made at ``last``, UTC."""
    newest = payments["event_timestamp"].max()
    assert isinstance(newest, datetime)
    seconds = int((last - newest).total_seconds())
    return payments.with_columns(pl.col("event_timestamp") + timedelta(seconds=seconds))


def write(log: pl.DataFrame, folder: Path = DATA) -> None:
    """Write what is known of payments when they are made, what is known of them later, and what is to be predicted."""
    folder.mkdir(exist_ok=True)
    known_at = pl.col("event_timestamp") + OUTCOME_DELAY
    for name, table in (
        ("payments", log.drop("rating", "is_fraud")),
        ("outcomes", log.drop("customer_id", "amount").with_columns(known_at=known_at)),
        ("labels", log.drop("rating")),
    ):
        table.write_parquet(folder / f"{name}.parquet")
        print(f"data/{name}.parquet: {table.height:,} rows")


def main() -> None:
    """Read the command line, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--handbook", type=Path, help="the file of the handbook's transactions")
    parser.add_argument("--until-now", action="store_true", help="shift the generated payments up to now")
    given = parser.parse_args()
    payments = handbook(given.handbook) if given.handbook else generated()
    write(shifted(payments, datetime.now(UTC).replace(tzinfo=None)) if given.until_now else payments)


if __name__ == "__main__":
    main()
