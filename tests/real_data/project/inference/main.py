"""Store a month of days of every feature, each night's run making only what is missing.

EVENT_LOGS=/data python inference/main.py --path results --from 2011-11-02 --to 2011-12-01
"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from features import retail, shop

import featurestore as fs
from featurestore.materializer.parquet import ParquetMaterializer

__all__ = ["RETAIL", "SHOP", "main", "materialize"]

RETAIL = (retail.orders, retail.returns, retail.return_rate, retail.customer_recency, retail.product_sales)
SHOP = (shop.actions_of_user, shop.cart_rate, shop.favorite_brand, shop.sku_popularity)


def materialize(
    materializer: fs.Materializer, features: tuple[fs.Feature[..., Any], ...], first: datetime, last: datetime
) -> int:
    """Store what is missing from ``first`` to ``last``, a result a day, and return how many results there are."""
    days = fs.every("1d", first, last)
    return sum(len(materializer.materialize_range(feature, when=days, progress=False)) for feature in features)


def main() -> None:
    """Store what the command line asks for, and show the newest answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", required=True, help="folder for the results")
    parser.add_argument("--from", dest="first", required=True, type=datetime.fromisoformat, help="first day")
    parser.add_argument("--to", dest="last", required=True, type=datetime.fromisoformat, help="last day")
    options = parser.parse_args()
    materializer = ParquetMaterializer(options.path)
    fs.add_decorator(materializer.decorator, "features")
    print(materialize(materializer, RETAIL, options.first, options.last), "results")
    print(fs.with_params(when=fs.Last()).get_features(retail.orders, retail.return_rate).collect().height, "customers")


if __name__ == "__main__":
    main()
