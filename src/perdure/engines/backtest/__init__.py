"""Arithmetic of backtests: what a schedule of retrains costs, and the cheapest one that hindsight knows."""

from __future__ import annotations

from perdure.engines.backtest.schedule import Schedule, cheapest_schedule, daily_cost, price_of

__all__ = ["Schedule", "cheapest_schedule", "daily_cost", "price_of"]
