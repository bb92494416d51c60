"""Questions to people: roles, reasons, four eyes; nobody counts twice."""

from __future__ import annotations

import json

import pytest

from perdure.core.errors import DeclarationError, NotFound, Refused
from perdure.surface.governance.roles import People
from perdure.surface.sdk import open_project

REASON = '--reason "looks right"'


def test_a_question_stands_in_the_inbox_with_what_it_rests_on(cli, project, ask):
    ask(project)
    told = cli("perdure approvals", project).out
    assert "Release eta@new of eta" in told
    assert "1 reviewer must say yes, 0 did" in told
    assert "because moved" in told
    assert "passed paired: better by 2.1 min" in told
    assert "perdure approve apr_1" in told
    assert [each["id"] for each in json.loads(cli("perdure approvals --json", project).out)] == ["apr_1"]


def test_a_yes_of_the_role_approves_and_the_inbox_is_empty(cli, project, ask):
    ask(project)
    assert "approved  Release eta@new" in cli(f"perdure approve apr_1 --as ann {REASON}", project).out
    assert cli("perdure approvals", project).out == "Nothing waits for a person.\n"
    assert "ann said yes" in cli("perdure approvals --all", project).out


def test_one_no_rejects(cli, project, ask):
    ask(project, n_needed=2)
    answered = json.loads(cli('perdure reject apr --as bob --reason "not now" --json', project).out)
    assert (answered["status"], answered["answers"][0]["reason"]) == ("rejected", "not now")


def test_who_acts_may_be_told_by_the_environment(cli, project, ask):
    ask(project)
    cli(f"perdure approve apr_1 {REASON}", project, PERDURE_ACTOR="cid")
    entries = json.loads(cli("perdure ledger list --json", project).out)
    assert (entries[-1]["actor"], entries[-1]["reason"]) == ("cid", "looks right")


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        ("approve apr_1 --as eve --reason ok", 5, "'eve' has not the role 'reviewer'"),
        ("approve apr_1 --as ann", 2, "An approval needs a reason."),
        ('reject apr_1 --as ann --reason " "', 2, "A rejection needs a reason."),
        ("approve apx --as ann --reason ok", 3, "There is no question 'apx'."),
    ],
)
def test_an_answer_that_may_not_be_is_refused_and_nothing_is_written(cli, project, ask, command, code, told):
    ask(project)
    assert told in cli(f"perdure {command}", project, expect=code).err
    [asked] = json.loads(cli("perdure approvals --json", project).out)
    assert asked["answers"] == []


def test_a_second_answer_of_one_person_counts_once(cli, project, ask):
    ask(project, n_needed=2)
    for _ in range(2):
        assert "1 more reviewer must say yes" in cli(f"perdure approve apr_1 --as ann {REASON}", project).out
    assert "approved" in cli(f"perdure approve apr_1 --as bob {REASON}", project).out


def test_of_four_eyes_none_are_those_of_who_asked(project, ask):
    ask(project, n_needed=2, asked_by="ann")
    with pytest.raises(Refused, match="'ann' asked the question"):
        open_project(project, actor="ann").approve("apr_1", reason="mine")


def test_a_decided_question_takes_no_further_answer(project, ask):
    ask(project)
    open_project(project, actor="ann").approve("apr_1", reason="good")
    with pytest.raises(Refused, match="approved already"):
        open_project(project, actor="bob").reject("apr_1", reason="bad")


class TestPeople:
    def test_where_no_role_is_declared_the_project_s_actor_has_every_role_and_nobody_else_any(self):
        alone = People({}, "local")
        assert alone.has("local", "anything")
        with pytest.raises(Refused, match="No roles are declared"):
            alone.require("ann", "reviewer")

    def test_a_role_that_is_not_declared_is_named_with_the_nearest(self):
        with pytest.raises(NotFound, match=r"There is no role 'reviwer'\. Did you mean 'reviewer'\?"):
            People({"reviewer": ("ann",)}, "local").require("ann", "reviwer")

    def test_the_project_s_actor_has_no_role_that_is_declared_for_others(self):
        assert not People({"reviewer": ("ann",)}, "local").has("local", "reviewer")


class TestReleaseByHand:
    """The policy asks for a reviewer."""

    def test_a_reviewer_releases_by_name_with_a_reason(self, project):
        opened = open_project(project, actor="ann")
        with pytest.raises(DeclarationError, match="A release by hand needs a reason"):
            opened.apply(release={"eta": "eta@new"})
        changes = opened.apply(release={"eta": "eta@new"}, reason="tried it")
        assert ("released", "eta@old", "eta@new") in [(each.what, each.before, each.after) for each in changes]
        assert [(row.version, row.actor, row.reason) for row in opened.history("eta")][-1] == (
            "eta@new",
            "ann",
            "tried it",
        )

    def test_anybody_else_asks_and_the_next_apply_releases_what_was_approved(self, cli, project):
        release = 'perdure apply --release eta=eta@new --as eve --reason "tried it"'
        assert "asked     model eta" in cli(release, project).out
        [asked] = open_project(project).approvals()
        assert (asked.asked_by, asked.n_needed, asked.facts["version"]) == ("eve", 1, "eta@new")
        cli(f"perdure approve {asked.id} --as bob {REASON}", project)
        assert "released  model eta" in cli(release, project).out
        assert [answer.actor for answer in open_project(project).history("eta")[-1].approved_by] == ["bob"]

    def test_a_no_refuses_the_release_with_its_reason(self, cli, project):
        release = "perdure apply --release eta=eta@new --as eve --reason x"
        cli(release, project)
        cli('perdure reject apr --as bob --reason "too slow"', project)
        assert "bob said no to the release of eta@new: too slow" in cli(release, project, expect=5).err

    def test_four_eyes_are_asked_even_where_a_reviewer_applies(self, project):
        module = project / "declared.py"
        module.write_text(module.read_text().replace('by="reviewer"', 'by="reviewer", four_eyes=True'))
        opened = open_project(project, actor="ann")
        changes = opened.apply(release={"eta": "eta@new"}, reason="tried it")
        assert [each.what for each in changes if each.asset == "eta"][-1] == "asked"
        assert opened.approvals()[0].n_needed == 2

    def test_a_yes_is_for_one_move_only(self, project):
        eve, ann = open_project(project, actor="eve"), open_project(project, actor="ann")
        eve.apply(release={"eta": "eta@new"}, reason="tried it")
        ann.approve("apr", reason="good")
        eve.apply(release={"eta": "eta@new"}, reason="tried it")
        ann.apply(release={"eta": "eta@old"}, reason="back")
        assert eve.apply(release={"eta": "eta@new"}, reason="again")[-1].what == "asked"

    def test_what_the_loop_made_is_not_released_unless_it_is_named(self, project):
        changes = open_project(project, actor="ann").apply()
        assert {each.what for each in changes} == {"declared", "changed"}
