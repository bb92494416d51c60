"""Decide, the fourth step: a pure function from a situation to a plan. Same input, same bytes out.

No clock, no store, no chance: whoever has the situation can decide again and must come to the same
plan. The order of the rules is the order of harm: what a person forbade, what is broken further up,
what was tried in vain, what was spent; only then what helps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from perdure.assets.health import Cause
from perdure.assets.repair import ANY, SCHEDULE, Action
from perdure.core.clock import iso, parse_at
from perdure.core.units import duration_text
from perdure.loop.situation import Decision, Option, Situation, Symptom, Weighed

ASK = "ask_person"
"""The action that is left when nothing else may be done."""


def decide(situation: Situation) -> Decision:
    """The decision on a situation. Pure: equal situations give equal decisions. Cost: microseconds."""
    cause = _leading_cause(situation)
    stopped = _held(situation) or _not_asked(situation)
    if stopped is not None:
        return replace(stopped, cause=cause.name if cause else "", weighed=_left(situation, stopped.reasons[0]))
    fitting = [option for option in situation.options if _answers(option, situation, cause)]
    weighed = _unfitting(situation, fitting, cause)
    mending = [option.action for option in fitting if option.action.effect == "state"]
    if mending:
        # What is wrong below is mended first; whether a candidate is needed shows when it is.
        return _planned(situation, mending, cause, weighed)
    making = [option.action for option in fitting if option.action.effect == "candidate"]
    if not making:
        return _asked(situation, cause, weighed, _nothing_helps(cause))
    return _rationed(situation, cause, weighed, making) or _planned(situation, making, cause, weighed)


def _leading_cause(situation: Situation) -> Cause | None:
    return situation.causes[0] if situation.causes else None


def _broken(situation: Situation) -> list[Symptom]:
    return [symptom for symptom in situation.symptoms if symptom.state == "broken"]


def _held(situation: Situation) -> Decision | None:
    """What forbids any repair."""
    if situation.paused:
        return Decision("hold", (f"Paused by a person: {situation.paused}",))
    if situation.upstream:
        what = "; ".join(situation.upstream)
        return Decision(
            "hold", (f"It rests on what is broken itself ({what}): that is mended first, and nothing learns from it.",)
        )
    if situation.rules.autonomy == "observe":
        return Decision("hold", ("Its policy is to observe: a person decides.",))
    return None


def _not_asked(situation: Situation) -> Decision | None:
    """What gives no reason to repair."""
    if situation.trigger == "evidence" and not _broken(situation):
        return Decision("nothing", ("No objective is broken for sure.",))
    if situation.trigger == "evidence" and situation.rules.trigger == "manual":
        return Decision("hold", ("Its policy is to repair by hand: perdure apply does it.",))
    return None


def _answers(option: Option, situation: Situation, cause: Cause | None) -> bool:
    """Whether an option helps: against the leading cause, or as routine where nothing is broken."""
    if option.action.effect == "question":
        return False
    if ANY in option.answers:
        return True
    if cause is not None:
        return cause.name in option.answers
    return situation.trigger != "evidence" and SCHEDULE in option.answers


def _unfitting(situation: Situation, fitting: Sequence[Option], cause: Cause | None) -> tuple[Weighed, ...]:
    against = f"does not answer {cause.name.replace('_', ' ')}" if cause else "answers nothing that was found"
    return tuple(
        Weighed(option.action.key, chosen=False, why=against)
        for option in situation.options
        if option not in fitting and option.action.effect != "question"
    )


def _left(situation: Situation, why: str) -> tuple[Weighed, ...]:
    return tuple(Weighed(option.action.key, chosen=False, why=why) for option in situation.options)


def _nothing_helps(cause: Cause | None) -> str:
    if cause is None:
        return "Nothing speaks for any known cause."
    return f"No remedy answers {cause.name.replace('_', ' ')}."


def _rationed(
    situation: Situation, cause: Cause | None, weighed: tuple[Weighed, ...], making: Sequence[Action]
) -> Decision | None:
    """Why candidates are not made now although they might help: breaker, cool-down, budget. None when they are."""
    if situation.trigger == "manual":
        return None
    rules, past, now = situation.rules, situation.past, parse_at(situation.now)
    if past.n_fruitless >= rules.breaker:
        again = parse_at(past.fruitless_at) + timedelta(seconds=rules.rest_s)
        if now < again:
            why = f"The breaker is open: {past.n_fruitless} repairs in a row came to nothing."
            asked = _asked(situation, cause, (*weighed, *_put_off(making, why)), why)
            return replace(asked, again_at=iso(again))
    begun = [parse_at(at) for at in past.repairs_at]
    if begun and now < begun[-1] + timedelta(seconds=rules.cool_down_s):
        again, why = begun[-1] + timedelta(seconds=rules.cool_down_s), "The last repair is too recent."
        why = f"The last repair began {_ago(now - begun[-1])} ago; the cool-down is {_ago_s(rules.cool_down_s)}."
        return Decision(
            "wait", (why,), (), (*weighed, *_put_off(making, why)), cause.name if cause else "", None, iso(again)
        )
    inside = [at for at in begun if at > now - timedelta(seconds=rules.per_s)]
    if len(inside) >= rules.n_repairs:
        again = inside[-rules.n_repairs] + timedelta(seconds=rules.per_s) if rules.n_repairs else None
        why = f"The budget is spent: {len(inside)} repairs in {_ago_s(rules.per_s)}, {rules.n_repairs} allowed."
        return Decision(
            "wait",
            (why,),
            (),
            (*weighed, *_put_off(making, why)),
            cause.name if cause else "",
            None,
            iso(again) if again else "",
        )
    return None


def _put_off(actions: Sequence[Action], why: str) -> tuple[Weighed, ...]:
    return tuple(Weighed(action.key, chosen=False, why=why) for action in actions)


def _planned(
    situation: Situation, actions: Sequence[Action], cause: Cause | None, weighed: tuple[Weighed, ...]
) -> Decision:
    ordered = tuple(sorted(actions, key=lambda action: (action.cost_s, action.key)))
    rules = situation.rules
    role = rules.approve_by or ("reviewer" if rules.autonomy == "propose" else None)
    compete = "compete, and are judged against what runs" if len(ordered) > 1 else "is judged against what runs"
    mends = ordered[0].effect == "state"
    then = "" if mends else f"; {'they' if len(ordered) > 1 else 'it'} {compete}"
    reasons = (_because(situation, cause), f"{len(ordered)} action{'s' * (len(ordered) > 1)} answer it{then}.")
    chosen = tuple(Weighed(action.key, chosen=True, why=_for(cause)) for action in ordered)
    return Decision("repair", reasons, ordered, (*chosen, *weighed), cause.name if cause else SCHEDULE, role)


def _for(cause: Cause | None) -> str:
    return f"answers {cause.name.replace('_', ' ')}" if cause else "routine"


def _because(situation: Situation, cause: Cause | None) -> str:
    if cause is not None:
        return cause.text
    return "A person asked for it." if situation.trigger == "manual" else "The schedule is due."


def _asked(situation: Situation, cause: Cause | None, weighed: tuple[Weighed, ...], why: str) -> Decision:
    question = Action(ASK, f"ask a person: {why}", "question", {})
    return Decision(
        "ask",
        (why,),
        (question,),
        weighed,
        cause.name if cause else "",
        situation.rules.approve_by,
    )


def _ago(span: timedelta) -> str:
    return duration_text(span)


def _ago_s(seconds: float) -> str:
    return duration_text(timedelta(seconds=seconds))


def decided_at(situation: Situation) -> datetime:
    """The instant of the situation."""
    return parse_at(situation.now)
