"""Settings: perdure.toml, then the environment; mistakes name the nearest key."""

from __future__ import annotations

import pytest

from perdure.core.errors import BadSettings
from perdure.core.settings import Settings, load_settings, setting_keys


def test_nothing_said_means_the_defaults() -> None:
    assert load_settings("", {}) == Settings()


def test_the_file_wins_over_the_default_and_the_environment_over_the_file() -> None:
    toml = "[serve]\nport = 9000\nmax_rows = 5\n"

    found = load_settings(toml, {"PERDURE_SERVE_PORT": "9100", "HOME": "/somewhere"})

    assert (found.serve.port, found.serve.max_rows) == (9100, 5)


def test_a_whole_number_is_good_where_seconds_are_asked() -> None:
    assert load_settings("[loop]\ntick_s = 5", {}).loop.tick_s == 5.0


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("[serve]\nprot = 9000", "unknown key 'serve.prot'. Did you mean 'serve.port'"),
        ("[sevre]\nport = 9000", "unknown key 'sevre.port'. Did you mean 'serve.port'"),
        ("[zzz]\nqqq = 1", "unknown key 'zzz.qqq'. Known: project.name"),
        ("port = 9000", "unknown key 'port'"),
        ("[serve]\nport = '9000'", "serve.port in perdure.toml is '9000', but it must be of type int"),
        ("[serve]\nport = true", "serve.port in perdure.toml is True, but it must be of type int"),
        ("[serve\n", "not valid TOML"),
        ("[loop]\nautonomy = 'prpose'", "it must be observe, propose or act. Did you mean 'propose'?"),
        ("[alerts]\nformat = 'xml'", "alerts.format is 'xml', but it must be json or slack"),
        ("[alerts]\ntimeout_s = 0", "alerts.timeout_s is 0.0, but it must be above 0"),
        ("[alerts]\nmin_interval_s = -1", "alerts.min_interval_s is -1.0, but it must be 0 or more"),
        ("[alerts]\nurl = 'ftp://x/y'", "alerts.url is no address of HTTP"),
        ("[alerts]\nurl = 'https:///y'", "alerts.url is no address of HTTP"),
        ("[alerts]\nurl = 'http://x:99999/'", "alerts.url is no address of HTTP"),
        ("[alerts]\nurl = 'http://x/a b'", "alerts.url is no address of HTTP"),
        ("[alerts]\nurl = 'https://ann:pw@x/'", "has a name, a password or a fragment in it"),
        ("[alerts]\nurl = 'https://x/'", 'Write secret_env = "NAME" under [alerts]'),
        ("[limits]\nfail_limits = 'opne'", "limits.fail_limits is 'opne', but it must be open or closed"),
        ("[limits]\nfail_budgets = ''", "limits.fail_budgets is '', but it must be open or closed"),
        ("[limits]\nexpired = 'keep'", "limits.expired is 'keep', but it must be charge or release"),
        ("[limits]\nhold_ttl_s = 1", "limits.hold_ttl_s is 1.0, but it must be 5 to 86400"),
        ("[limits]\nurl = 'http://x'", "limits.url is no address of Redis. Write redis://HOST"),
        ("[agents]\nkeep_days = 0", "agents.keep_days is 0.0, but it must be above 0"),
        ("[roles]\nreviewer = 'ann'", "must be a list of names. Write: reviewer = "),
        ("[roles]\nreviewer = ['']", "must be a list of names."),
        ("[roles]\nOn-Call = ['ann']", "the role 'On-Call', which is no legal name"),
    ],
)
def test_a_mistake_in_the_file_is_told(toml: str, told: str) -> None:
    with pytest.raises(BadSettings) as caught:
        load_settings(toml, {})

    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("PERDURE_SERVE_PROT", "1", "Did you mean PERDURE_SERVE_PORT?"),
        ("PERDURE_SERVE_PORT", "many", "must be of type int"),
        ("PERDURE_SERVE_REPLAY", "perhaps", "must be true or false"),
        ("PERDURE_LOOP_TICK_S", "soon", "must be of type float"),
        ("PERDURE_LOOP_AUTONOMY", "all", "it must be observe, propose or act."),
    ],
)
def test_a_mistake_in_the_environment_is_told(name: str, text: str, told: str) -> None:
    with pytest.raises(BadSettings) as caught:
        load_settings("", {name: text})

    assert told in str(caught.value)


@pytest.mark.parametrize(("text", "truth"), [("true", True), ("1", True), ("YES", True), ("no", False), ("0", False)])
def test_truth_is_spelled_as_people_do(text: str, truth: bool) -> None:
    assert load_settings("", {"PERDURE_SERVE_REPLAY": text}).serve.replay is truth


def test_every_key_can_be_set_in_the_environment() -> None:
    env = {f"PERDURE_{key.replace('.', '_').upper()}": "1" for key in setting_keys()}
    env |= {"PERDURE_LOOP_AUTONOMY": "propose", "PERDURE_ALERTS_URL": "http://x", "PERDURE_ALERTS_FORMAT": "slack"}
    env |= {
        "PERDURE_LIMITS_URL": "redis://x",
        "PERDURE_LIMITS_FAIL_LIMITS": "open",
        "PERDURE_LIMITS_EXPIRED": "release",
    }
    env |= {"PERDURE_LIMITS_FAIL_BUDGETS": "open", "PERDURE_LIMITS_HOLD_TTL_S": "30", "PERDURE_GATEWAY_CACHE": "sqlite"}
    env |= {"PERDURE_TELEMETRY_OTLP_URL": "http://x", "PERDURE_EVALS_URL": "http://x", "PERDURE_SERVE_SEARCHES": "none"}
    env |= {"PERDURE_AGENTS_URL": "http://x", "PERDURE_CONSOLE_CLOCK": "machine"}

    found = load_settings("", env)

    assert (found.project.actor, found.serve.poll_ms, found.loop.tick_s, found.serve.replay) == ("1", 1, 1.0, True)
    assert found.loop.autonomy == "propose"


def test_roles_are_the_project_s_own_and_the_environment_replaces_one_whole() -> None:
    toml = '[roles]\nreviewer = ["ann", "bob", "ann"]\nowner = ["eve"]\n'

    assert load_settings(toml, {}).roles == {"reviewer": ("ann", "bob"), "owner": ("eve",)}
    replaced = load_settings(toml, {"PERDURE_ROLES_REVIEWER": "cid, dan"}).roles
    assert replaced == {"reviewer": ("cid", "dan"), "owner": ("eve",)}


def test_who_acts_in_one_process_is_no_setting() -> None:
    assert load_settings("", {"PERDURE_ACTOR": "ann"}) == Settings()


def test_the_file_that_was_read_is_named() -> None:
    with pytest.raises(BadSettings, match=r"deploy/perdure\.toml has the unknown key"):
        load_settings("[serve]\nprot = 1", {}, origin="deploy/perdure.toml")


def test_a_wrong_address_of_alerts_is_not_told_for_it_may_be_a_secret() -> None:
    with pytest.raises(BadSettings) as caught:
        load_settings("", {"PERDURE_ALERTS_URL": "htps://hooks.example/T0KEN"})

    assert "T0KEN" not in str(caught.value) + repr(caught.value.facts)


@pytest.mark.parametrize(
    ("toml", "why"),
    [
        ("concurrency = 0", "evals.concurrency is 0, but it must be 1 or more"),
        ("batch_cases = 0", "evals.batch_cases is 0"),
        ("budget_usd = -1.0", "evals.budget_usd is -1.0"),
        ("answer_seconds = 0.0", "evals.answer_seconds is 0.0, but it must be above 0"),
        ("online_calls = 0", "evals.online_calls is 0"),
        ("online_usd = -1.0", "evals.online_usd is -1.0"),
    ],
)
def test_settings_of_evals_that_mean_nothing_are_refused(toml: str, why: str) -> None:
    with pytest.raises(BadSettings, match=why):
        load_settings(f"[evals]\n{toml}", {})


@pytest.mark.parametrize(("key", "value"), [("clock", '"never"'), ("idle_h", "0"), ("longest_h", "9e9")])
def test_a_console_s_setting_out_of_bounds_is_refused_by_its_name(key: str, value: str) -> None:
    with pytest.raises(BadSettings, match=f"console.{key}"):
        load_settings(f"[console]\n{key} = {value}\n", {})
