"""Decide, the fourth step: a pure function from a situation to a plan. Same input, same bytes out.

No clock, no store, no chance: whoever has the situation can decide again and must come to the same
plan. The order of the rules is the order of harm: what a person forbade, what is broken further up,
what was tried in vain, what was spent; only then what helps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from perdure.assets.health import Cause
from perdure.assets.repair import ANY, SCHEDULE, Action
from perdure.core.clock import iso, parse_at
from perdure.core.units import duration_text
from perdure.loop.situation import Choice, Decision, Option, Situation, Weighed

ASK = "ask_person"
"""The action that is left when nothing else may be done."""


def decide(situation: Situation) -> Decision:
    """The decision on a situation. Cost: microseconds.

    Pure: equal situations give equal decisions, in every process and on every machine.
    """
    return _Deciding(situation, situation.causes[0] if situation.causes else None).decision()


@dataclass(frozen=True, slots=True)
class _Deciding:
    """One situation with its leading cause."""

    situation: Situation
    cause: Cause | None

    def decision(self) -> Decision:
        """The first rule that applies."""
        stopped = self._forbidden() or self._not_called_for()
        if stopped is not None:
            return stopped
        fitting = [option.action for option in self.situation.options if self._answers(option)]
        mending = [action for action in fitting if action.effect == "state"]
        if mending:
            # What is wrong below is mended first; whether a candidate is needed shows when it is.
            return self._tried_in_vain(mending) or self._planned(mending, fitting)
        asking = [action for action in fitting if action.effect == "question"]
        if asking:
            return self._tried_in_vain(asking) or self._planned(asking, fitting)
        if self._cause_name in self.situation.past.mended:
            why = f"What answers {_words(self._cause_name)} was done: it heals when that ends."
            return self._put_off("wait", why, fitting)
        if not fitting:
            return self._nothing_to_do() or self._asked(self._nothing_helps(), fitting)
        return self._rationed(fitting) or self._planned(self._affordable(fitting), fitting)

    @property
    def _cause_name(self) -> str:
        return self.cause.name if self.cause else ""

    def _forbidden(self) -> Decision | None:
        """What forbids any repair."""
        situation = self.situation
        if situation.paused:
            return self._put_off("hold", f"Paused by a person: {situation.paused}")
        if situation.upstream:
            what = "; ".join(situation.upstream)
            return self._put_off(
                "hold", f"It rests on what is broken itself ({what}): that is mended first, and nothing learns from it."
            )
        if situation.rules.autonomy == "observe" and situation.trigger != "manual":
            return self._put_off("hold", "Its policy is to observe: a person decides.")
        return None

    def _not_called_for(self) -> Decision | None:
        """What gives the loop no reason to repair."""
        situation = self.situation
        if situation.trigger != "evidence":
            return None
        if not any(symptom.state == "broken" for symptom in situation.symptoms):
            return self._put_off("nothing", "No objective is broken for sure.")
        if situation.rules.trigger == "manual":
            return self._put_off("hold", "Its policy is to repair by hand: perdure apply --repair does it.")
        if situation.rules.trigger == "schedule":
            return self._put_off("wait", "Its policy is to repair on a schedule, which is not due.")
        return None

    def _answers(self, option: Option) -> bool:
        """Whether an option helps: against the leading cause, or as routine where nothing is broken."""
        if ANY in option.answers:
            return True
        if self.cause is not None:
            return self.cause.name in option.answers
        return self.situation.trigger != "evidence" and SCHEDULE in option.answers

    def _nothing_to_do(self) -> Decision | None:
        """Where nothing is broken, a schedule that comes to nothing is no question to a person."""
        if self.situation.trigger != "schedule" or any(each.state == "broken" for each in self.situation.symptoms):
            return None
        return self._put_off("wait", "The schedule is due, and there is nothing that could be done as routine.", ())

    def _nothing_helps(self) -> str:
        if self.cause is None:
            return "Nothing speaks for any known cause."
        return f"No remedy answers {_words(self.cause.name)}."

    def _rationed(self, actions: Sequence[Action]) -> Decision | None:
        """Why no candidate is made now although one might help: breaker, cool-down, budget. None when one is."""
        if self.situation.trigger == "manual":
            return None
        return self._tried_in_vain(actions) or self._cool_down(actions) or self._over_budget(actions)

    def _tried_in_vain(self, actions: Sequence[Action]) -> Decision | None:
        """The breaker."""
        rules, past = self.situation.rules, self.situation.past
        if self.situation.trigger == "manual" or past.n_fruitless < rules.breaker:
            return None
        until = parse_at(past.fruitless_at) + timedelta(seconds=rules.rest_s)
        if parse_at(self.situation.now) >= until:
            return None
        why = f"The breaker is open: {past.n_fruitless} repairs in a row came to nothing."
        return self._asked(why, actions, again_at=iso(until))

    def _cool_down(self, actions: Sequence[Action]) -> Decision | None:
        rules, past, now = self.situation.rules, self.situation.past, parse_at(self.situation.now)
        if not past.repairs_at:
            return None
        last = parse_at(past.repairs_at[-1])
        until = last + timedelta(seconds=rules.cool_down_s)
        if now >= until:
            return None
        why = f"The last repair began {duration_text(now - last)} ago; the cool-down is {_span(rules.cool_down_s)}."
        return self._put_off("wait", why, actions, again_at=iso(until))

    def _affordable(self, actions: Sequence[Action]) -> list[Action]:
        """The actions that the budget leaves: of a spent one those that make nothing new."""
        if self.situation.trigger == "manual" or self._budget_left():
            return list(actions)
        return [action for action in actions if action.effect == "known"]

    def _budget_left(self) -> bool:
        return len(self._retrains()) < self.situation.rules.n_retrains

    def _retrains(self) -> list[datetime]:
        """When new candidates were made within the budget's stretch up to now."""
        since = parse_at(self.situation.now) - timedelta(seconds=self.situation.rules.per_s)
        return [at for at in map(parse_at, self.situation.past.retrains_at) if at > since]

    def _over_budget(self, actions: Sequence[Action]) -> Decision | None:
        if self._affordable(actions):
            return None
        rules, inside = self.situation.rules, self._retrains()
        why = f"{self._spent()} Nothing that is there already answers it."
        again = inside[-rules.n_retrains] + timedelta(seconds=rules.per_s) if rules.n_retrains else None
        return self._put_off("wait", why, actions, again_at=iso(again) if again else "")

    def _spent(self) -> str:
        rules, n = self.situation.rules, len(self._retrains())
        return f"The budget is spent: {n} retrained in {_span(rules.per_s)}, {rules.n_retrains} allowed."

    def _planned(self, actions: Sequence[Action], fitting: Sequence[Action]) -> Decision:
        unique = {action.key: action for action in sorted(actions, key=_rank, reverse=True)}
        ordered = tuple(sorted(unique.values(), key=_rank))
        rules, many = self.situation.rules, len(ordered) > 1
        then = f"{'They compete and are' if many else 'It is'} judged against what runs."
        asks = ordered[0].effect == "question"
        if ordered[0].effect in ("state", "question"):
            then = "A person decides." if asks else "Nothing is released."
        answers = f"{len(ordered)} actions answer it." if many else "One action answers it."
        return Decision(
            choice="repair",
            reasons=(self._because(), answers, then),
            actions=ordered,
            weighed=self._weighed(ordered, fitting, self._why_left(ordered)),
            cause=self._cause_name or SCHEDULE,
            approve_by=rules.approve_by or ("reviewer" if asks or rules.autonomy == "propose" else None),
        )

    def _why_left(self, chosen: Sequence[Action]) -> str:
        waits = chosen[0].effect in ("state", "question")
        return "What is wrong below is mended first." if waits else self._spent()

    def _because(self) -> str:
        if self.cause is not None:
            return self.cause.text
        return "A person asked for it." if self.situation.trigger == "manual" else "The schedule is due."

    def _asked(self, why: str, fitting: Sequence[Action], *, again_at: str = "") -> Decision:
        question = Action(ASK, f"ask a person: {why}", "question")
        weighed = self._weighed((), fitting, why)
        role = self.situation.rules.approve_by
        return Decision("ask", (why,), (question,), weighed, self._cause_name, role, again_at)

    def _put_off(
        self, choice: Choice, why: str, fitting: Sequence[Action] | None = None, *, again_at: str = ""
    ) -> Decision:
        considered = [option.action for option in self.situation.options] if fitting is None else fitting
        weighed = self._weighed((), considered, why)
        return Decision(choice, (why,), (), weighed, self._cause_name, None, again_at)

    def _weighed(self, chosen: Sequence[Action], fitting: Sequence[Action], why_not: str) -> tuple[Weighed, ...]:
        """Every option with why it is in the plan or not, in the order in which they were proposed."""
        against = f"Does not answer {_words(self._cause_name)}." if self.cause else "Answers nothing that was found."
        weighed, keys = [], {action.key for action in chosen}
        for action in (option.action for option in self.situation.options):
            if action.key in keys:
                weighed.append(Weighed(action.key, chosen=True, why=f"Answers {_words(self._cause_name or SCHEDULE)}."))
            else:
                weighed.append(Weighed(action.key, chosen=False, why=why_not if action in fitting else against))
        return tuple(weighed)


def _rank(action: Action) -> tuple[float, str, str, str]:
    """The cheaper first; of equals by name, so that the order in which they were proposed changes nothing."""
    return action.cost_s, action.key, action.effect, action.text


def _words(name: str) -> str:
    return name.replace("_", " ") if name else "what was found"


def _span(seconds: float) -> str:
    return duration_text(timedelta(seconds=seconds))
