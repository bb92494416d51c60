"""A route that a suite tests by itself, without a prompt, is released only as that suite allows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perdure import Perdure, Project, Route, Target, Upstream
from perdure.assets.scorers import Exact
from perdure.assets.suite import Case, Suite
from perdure.assets.version import CHAMPION
from perdure.core.ports import Answered


class Model:
    """Every version of the route answers well, but the one that was made to be bad."""

    good = frozenset[str]()
    asked: list[str] = []

    async def ask(self, asked):
        Model.asked.append(asked.route)
        right = not Model.good or asked.route in Model.good
        return Answered({"content": asked.messages[-1]["content"] if right else "no idea"}, "stop")

    async def close(self):
        pass


def opened(folder, model):
    route = Route("main", [Target(Upstream("up", "http://127.0.0.1:9/v1"), model)])
    cases = [
        Case(f"n{n}", {"messages": [{"role": "user", "content": f"{n}"}]}, f"{n}", cluster=f"k{n}") for n in range(40)
    ]
    found = Perdure(folder, project=Project.of("p", route, Suite("said", cases, [Exact()], route="main")))
    found.place = replace(found.place, open_answerer=Model)
    return found


def answering(project):
    with project.place.stores.ledger.read() as session:
        return next(each.version for each in session.pointers.list("main") if each.name == CHAMPION)


@pytest.mark.parametrize("good", [True, False])
def test_another_model_behind_a_route_is_held_to_the_route_s_own_suite(tmp_path, good):
    first = opened(tmp_path, "m1")
    first.apply()
    before = answering(first)
    Model.asked, Model.good = [], frozenset() if good else frozenset([before])
    second = opened(tmp_path, "m2")
    told = second.apply()
    assert len(set(Model.asked)) == 2
    assert (answering(second) != before) is good, told
