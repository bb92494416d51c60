"""The model, and what healthy means for it."""

from __future__ import annotations

from flights.contracts import Flight
from flights.features import aircraft, calendar, route, weather_now
from flights.sources import flights, landings
from perdure import Label, Model, Policy, Ramp, Rate, days, drift, hours, latency_ms, mae, skew


class AirTime(Model):
    """Minutes in the air of one flight."""

    purpose = "Crew and gate planning: how long will this flight be in the air?"
    owner = "flight-ops"
    contract = Flight
    features = [weather_now, calendar, route, aircraft]
    rows = flights
    label = Label(landings, "air_time_min", key="flight_id", known_at="landed_at", delay=hours(12))
    slices = ["origin"]
    healthy = [
        (mae(over=days(7)) <= 10.0).owed_to("crew planning"),
        (mae(over=days(7), by="origin") <= 12.0).owed_to("airports"),
        drift(against="training", over=days(7)).unharmful().owed_to("data science"),
        (skew(over=hours(12)) <= 0.0).owed_to("ML platform"),
        (latency_ms(quantile=0.99, over=days(1)) <= 50.0).owed_to("dispatch"),
    ]
    policy = Policy.act(
        every=days(2),  # known versions compete on the newest labels, whether anything is broken or not
        cool_down=days(1),
        retrains=Rate(1, per=days(6)),  # new ones are made once in six days at most
        ramp=Ramp(shadow=hours(6), canary=hours(6), share=0.5),
        watch=hours(12),
    )
    holdout = days(1)
    params = {"n_estimators": 100, "num_leaves": 31, "learning_rate": 0.1}

    def fit(self, data, warm_start=None):
        """Gradient boosting on the encoded features."""
        from lightgbm import LGBMRegressor

        model = LGBMRegressor(**data.params, random_state=data.seed, deterministic=True, n_jobs=1, verbose=-1)
        return model.fit(
            data.x, data.y, eval_X=data.x_valid, eval_y=data.y_valid, eval_metric="l1", init_model=warm_start
        )

    def search(self, trial):
        """What `perdure train air_time --tune` tries."""
        return {
            "n_estimators": trial.suggest_int("n_estimators", 60, 240),
            "num_leaves": trial.suggest_int("num_leaves", 15, 95),
            "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.2, log=True),
        }
