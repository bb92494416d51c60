"""What customers ask, and words that stand in a good answer."""

from __future__ import annotations

QUESTIONS = {
    "within how many days may goods be sent back": "30 days",
    "how long is a broken kettle repaired free of charge": "24 months",
    "when do parcels arrive in Norway": "five working days",
    "when must companies pay their invoice": "fourteen days",
    "what does gift wrapping of presents cost": "two euros",
    "on which day is the store closed": "Sunday",
    "until when may I have an order cancelled": "left the warehouse",
    "when is my credit card charged": "goods are shipped",
    "who puts furniture together at home": "two craftsmen",
    "where are empty batteries taken back": "at the counter",
    "what do students get off an order": "a tenth",
    "what do I do with a crushed box": "photographed",
}
