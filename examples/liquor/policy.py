"""From forecasts to orders, and what the stock would have been.

Every Monday morning a store reviews each item (period R, a week); what it orders is there a lead time L later (a week).
An order therefore has to cover the demand until the next order can be there, R + L. With a forecast f of a week, and s1
the root mean square of its errors in earlier weeks:

    safety stock     k s1 sqrt(R + L)         k: the normal quantile of the service level
    reorder point    f (R + L) + safety stock
    order quantity   sqrt(2 A D / (v r)), in whole cases
                     A: cost of an order line, D: demand a year,
                     v: price of a bottle, r: yearly cost of a dollar in stock

Order where stock on hand and on order is not above the reorder point: the order quantity, or whatever is needed to be
above it again. Silver, Pyke and Thomas, "Inventory and Production Management in Supply Chains", 4th edition, CRC Press
2017: the economic order quantity in chapter 4, safety stocks under probabilistic demand in chapter 6.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

REVIEW = LEAD = 1
"""Weeks."""
ORDER_COST, CARRYING = 2.0, 0.25
"""Dollars for a line of an order; dollars a year for a dollar in stock. Put in your own."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What to order of one item on one Monday, and why."""

    forecast: float
    safety_stock: float
    reorder_point: float
    quantity: int
    """The economic one, in whole cases."""
    order: int
    """What to order now."""


def propose(
    forecast: float, error: float, position: float, *, price: float, pack: int, service: float = 0.95
) -> Proposal:
    """Return the proposal for a forecast of a week with errors of root mean square ``error``.

    Args:
        forecast: bottles of the week that begins.
        error: bottles.
        position: stock on hand and on order, in bottles.
        price: dollars a bottle.
        pack: bottles a case.
        service: chance that the stock suffices until the next order is there.

    Example:
        >>> propose(10.0, 4.0, 30.0, price=20.0, pack=12)
        Proposal(forecast=10.0, safety_stock=9.3, reorder_point=29.3, quantity=24, order=0)
        >>> propose(10.0, 4.0, 5.0, price=20.0, pack=12).order
        36
    """
    cover = REVIEW + LEAD
    safety = max(0.0, NormalDist().inv_cdf(service) * error * math.sqrt(cover))
    point = forecast * cover + safety
    economic = math.sqrt(2 * ORDER_COST * 52 * forecast / (price * CARRYING)) if price > 0 else 0.0
    quantity = max(1, math.ceil(economic / pack)) * pack
    needed = math.floor((point - position) / pack + 1) * pack  # The least number of cases that is above the point.
    order = max(quantity, needed) if position <= point and point > 0 else 0
    return Proposal(forecast, round(safety, 1), round(point, 1), quantity, order)


@dataclass(frozen=True, slots=True)
class Week:
    """One week of a simulated stock; what arrives is there before the week's demand."""

    on_hand: float
    """After the delivery."""
    demand: float
    sold: float
    proposal: Proposal


def simulate(
    forecasts: list[float], demands: list[float], error: float, *, price: float, pack: int, service: float = 0.95
) -> list[Week]:
    """Return the stock week by week under the policy; demand that finds no stock is lost.

    The first Monday begins with the reorder point on hand, and nothing under way.
    """
    on_hand, under_way, weeks = 0.0, 0.0, []
    for number, (forecast, demand) in enumerate(zip(forecasts, demands, strict=True)):
        on_hand, under_way = on_hand + under_way, 0.0
        if number == 0:
            on_hand = math.ceil(propose(forecast, error, 0, price=price, pack=pack, service=service).reorder_point)
        proposal = propose(forecast, error, on_hand, price=price, pack=pack, service=service)
        under_way = proposal.order
        sold = min(on_hand, demand)
        weeks.append(Week(on_hand, demand, sold, proposal))
        on_hand -= sold
    return weeks
