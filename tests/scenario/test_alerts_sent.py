"""A boiler decays and is repaired, and whoever is on call hears of it over HTTP: a real server, good and bad days."""

from __future__ import annotations

import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gauges import T0, Plant, boiler, watched

from perdure import verify_signature
from perdure.core.clock import machine_now, monotonic_s
from perdure.core.errors import BadSettings, Refused
from perdure.core.settings import AlertSettings
from perdure.loop.alerts import Alerts, find_outbox
from perdure.loop.round import Loop
from perdure.surface.governance.doing import doing_about
from perdure.surface.webhook import Webhook
from perdure.testing.clock import SettableClock
from perdure.testing.toy import TOY, toy_kind

pytestmark = [pytest.mark.scenario, pytest.mark.e2e]

SECRET = "told to both"
ENVIRONMENT = {"ALERT_SECRET": SECRET}
BODY = {"delivery": "dlv_1", "event": "opened", "asset": "boiler"}


class Receiver:
    """An HTTP server of this machine that answers as it is told, at last with its newest answer."""

    def __init__(self, *answers, port=0):
        self.answers = list(answers) or [204]
        self.got = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/alerts?to=ops"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def _handler(receiver):  # noqa: N805 - of the class that it makes
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.got.append((self.path, headers, body))
                answer = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
                if callable(answer):
                    return answer(self)
                self.send_response(answer)
                self.end_headers()
                return None

            def log_message(self, *said):
                pass

        return Handler

    @property
    def messages(self):
        return [msgspec.json.decode(body) for _, _, body in self.got]

    @property
    def deliveries(self):
        return [headers["perdure-delivery"] for _, headers, _ in self.got]

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def receiving(*answers, port=0):
    receiver = Receiver(*answers, port=port)
    try:
        yield receiver
    finally:
        receiver.close()


@pytest.fixture
def receiver():
    with receiving() as found:
        yield found


def settings_for(url, **more):
    return AlertSettings(url, secret_env="ALERT_SECRET", **more)


class Told(Plant):
    """A plant whose incidents are told to an address; machine time is moved by hand."""

    def __init__(self, folder, assets, url, **more):
        super().__init__(folder, assets)
        self.clock = SettableClock(machine_now())
        settings = settings_for(url, **more)
        alerts = Alerts(settings, Webhook(settings, ENVIRONMENT), doing_about, self.clock)
        self.loop = Loop(self.place, {TOY: toy_kind()}, [], assets, list, [alerts])

    def later(self, day, seconds=700.0):
        self.clock.advance(timedelta(seconds=seconds))
        return self.tick(day)

    def outbox(self):
        with self.place.stores.ledger.read() as session:
            return find_outbox(session)

    def tries(self):
        return [(facts["attempt"], facts["status"]) for facts in self.entries("alerts.failed")] + [
            (facts["attempt"], facts["status"]) for facts in self.entries("alerts.delivered")
        ]


def test_the_course_of_an_incident_is_told_step_by_step_signed_and_once(tmp_path, receiver):
    plant = Told(tmp_path, [watched(boiler(3))], receiver.url)
    plant.release("boiler")
    plant.run(0, 8)
    [incident] = plant.incidents()
    assert [[each["event"] for each in told["events"]] for told in receiver.messages] == [
        ["opened", "decided"],
        ["released"],
        ["closed"],
    ]
    opened = receiver.messages[0]
    assert {told["incident"] for told in receiver.messages} == {incident.id}
    assert (opened["project"], opened["asset"], opened["kind"]) == ("default", "boiler", "moved")
    assert opened["causes"][0]["figures"] == {"moved_by": 7.0, "margin": 1.0}
    assert opened["doing"].startswith("repair: correct 100% of what the gauge is off; waits")
    assert receiver.got[0][0] == "/alerts?to=ops"
    for _, headers, body in receiver.got:
        verify_signature(SECRET, headers["perdure-signature"], body, machine_now())
        assert headers["perdure-delivery"] == msgspec.json.decode(body)["delivery"]
    assert len(set(receiver.deliveries)) == 3
    assert plant.tries() == [(1, 204)] * 3
    assert plant.place.stores.ledger.verify().intact


def test_a_message_that_was_changed_on_its_way_is_refused(receiver):
    Webhook(settings_for(receiver.url), ENVIRONMENT).send("dlv_1", 1, BODY)
    [(_, headers, body)] = receiver.got
    signature = headers["perdure-signature"]
    for secret, changed in [(SECRET, body.replace(b"opened", b"closed")), ("another", body)]:
        with pytest.raises(Refused, match="is not this body's"):
            verify_signature(secret, signature, changed, machine_now())
    with pytest.raises(Refused, match=r"signed 3\d\d s ago"):
        verify_signature(SECRET, signature, body, machine_now() + timedelta(seconds=310))


def test_of_two_that_break_by_one_cause_only_the_cause_is_told(tmp_path, receiver):
    """The kettle rests on the boiler: it is affected, and has no incident and no alert of its own."""
    assets = [watched(boiler(3)), watched(boiler(3, name="kettle"), rests_on=["boiler"])]
    plant = Told(tmp_path, assets, receiver.url)
    plant.release("boiler")
    plant.release("kettle")
    plant.run(2, 3.5)
    assert [(told["asset"], told["event"]) for told in receiver.messages] == [("boiler", "opened")]


def test_a_receiver_that_fails_gets_the_same_delivery_again_when_its_time_has_come(tmp_path):
    with receiving(500, 204) as receiver:
        plant = Told(tmp_path, [watched(boiler(3), approve_by="ops")], receiver.url)
        plant.run(2, 3)
        plant.tick(3)
        assert len(receiver.got) == 1, "too soon"
        plant.later(3)
        assert len(set(receiver.deliveries)) == 1
        assert [headers["perdure-attempt"] for _, headers, _ in receiver.got] == ["1", "2"]
        assert receiver.got[0][2] == receiver.got[1][2]
        assert plant.tries() == [(1, 500), (2, 204)]


def test_a_receiver_that_hangs_holds_a_round_no_longer_than_its_time_out(tmp_path):
    go_on = threading.Event()
    with receiving(lambda _request: go_on.wait(120), 204) as receiver:
        plant = Told(tmp_path, [watched(boiler(3), approve_by="ops")], receiver.url, timeout_s=0.3)
        plant.run(2, 2.5)
        began = monotonic_s()
        plant.tick(3)
        assert monotonic_s() - began < 30
        assert plant.outbox().problem in ("no answer within 0.3 s", "no answer in time")
        go_on.set()
        plant.later(3)
        assert plant.tries() == [(1, None), (2, 204)]


def test_a_receiver_that_drips_is_cut_off(tmp_path):
    stop = threading.Event()

    def drip(request):
        request.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
        while not stop.wait(0.05):
            try:
                request.wfile.write(b"x")
                request.wfile.flush()
            except OSError:
                return

    with receiving(drip) as receiver:
        began = monotonic_s()
        answer = Webhook(settings_for(receiver.url, timeout_s=0.4), ENVIRONMENT).send("dlv_1", 1, BODY)
        stop.set()
    assert (answer.status, answer.delivered, answer.final) == (None, False, False)
    assert monotonic_s() - began < 30


def test_a_receiver_that_is_not_there_is_told_when_it_comes_up(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    plant = Told(tmp_path, [watched(boiler(3), approve_by="ops")], f"http://127.0.0.1:{port}/alerts?to=ops")
    plant.run(2, 3)
    assert plant.outbox().problem == "Connection refused"
    with receiving(port=port) as receiver:
        plant.later(3)
        assert [told["event"] for told in receiver.messages] == ["opened"]
    assert plant.tries() == [(1, None), (2, 204)]


@pytest.mark.parametrize("status", [410, 302])
def test_an_answer_for_good_is_taken_and_a_redirect_is_not_followed(tmp_path, status):
    def away(request):
        request.send_response(status)
        request.send_header("location", "/elsewhere")
        request.end_headers()

    with receiving(away) as receiver:
        plant = Told(tmp_path, [watched(boiler(3), approve_by="ops")], receiver.url)
        plant.run(2, 3)
        plant.later(3)
        assert len(receiver.got) == 1
        assert plant.tries() == [(1, status)]
        assert plant.outbox().n_given_up == 1


def test_retry_after_is_read(receiver):
    def busy(request):
        request.send_response(429)
        request.send_header("retry-after", "120")
        request.end_headers()

    receiver.answers = [busy]
    answer = Webhook(settings_for(receiver.url), ENVIRONMENT).send("dlv_1", 1, BODY)
    assert (answer.status, answer.retry_after_s, answer.final) == (429, 120.0, False)


def test_an_answer_that_is_no_http_is_no_delivery(receiver):
    receiver.answers = [lambda request: request.wfile.write(b"hello\r\n\r\n")]
    answer = Webhook(settings_for(receiver.url), ENVIRONMENT).send("dlv_1", 1, BODY)
    assert (answer.status, answer.error) == (None, "no answer that is HTTP (BadStatusLine)")


def test_without_the_secret_nothing_is_sent(receiver):
    with pytest.raises(BadSettings, match="no ALERT_SECRET"):
        Webhook(settings_for(receiver.url), {}).send("dlv_1", 1, BODY)
    assert receiver.got == []


def test_slack_gets_a_text_without_a_secret(tmp_path, receiver):
    plant = Told(tmp_path, [watched(boiler(3))], receiver.url)
    settings = AlertSettings(receiver.url, "slack")
    alerts = Alerts(settings, Webhook(settings, {}), doing_about, plant.clock)
    plant.loop = Loop(plant.place, {TOY: toy_kind()}, [], [watched(boiler(3))], list, [alerts])
    plant.run(2, 3)
    [(_, headers, body)] = receiver.got
    assert "perdure-signature" not in headers
    text = msgspec.json.decode(body)["text"]
    [incident] = plant.incidents()
    assert text.startswith("*boiler* opened: The gauge moved by 7 within the window; its margin is 1.")
    assert "level over 1d &lt;= 23" in text
    assert text.endswith(f"`perdure explain {incident.id}`")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="a certificate is made with openssl")
def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    wanted = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*make.split(), *wanted], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with receiving() as receiver:
        receiver._server.socket = context.wrap_socket(receiver._server.socket, server_side=True)
        receiver._server.handle_error = lambda *_: None
        settings = settings_for(receiver.url.replace("http:", "https:"))
        answer = Webhook(settings, ENVIRONMENT).send("dlv_1", 1, BODY)
        assert answer.status is None
        assert answer.error.startswith("the certificate is not trusted: self")
        assert receiver.got == []
        trusting = Webhook(settings, ENVIRONMENT, lambda: ssl.create_default_context(cafile=certificate))
        assert trusting.send("dlv_1", 1, BODY).delivered


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from gauges import boiler, watched
from test_alerts_sent import ENVIRONMENT, Told, Webhook
sent = Webhook.send
def send(self, *given):
    sent(self, *given)
    os.kill(os.getpid(), signal.SIGKILL)
Webhook.send = send
Told(Path({folder!r}), [watched(boiler(3), approve_by="ops")], {url!r}).run(2, 3)
"""


def test_a_process_killed_after_sending_sends_the_same_again_under_the_same_id(tmp_path, receiver):
    program = KILLED.format(here=str(Path(__file__).parent), folder=str(tmp_path), url=receiver.url)
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(receiver.got) == 1
    plant = Told(tmp_path, [watched(boiler(3), approve_by="ops")], receiver.url)
    assert plant.tries() == []
    with plant.place.stores.ledger.read() as session:
        assert len(session.incidents.list()) == 1
    plant.tick(3)
    plant.later(3)
    first, again = receiver.got
    assert receiver.deliveries[0] == receiver.deliveries[1]
    assert first[2] == again[2]
    assert plant.tries() == [(1, 204)]


def test_the_command_line_tells_what_was_sent_and_tests_the_way(tmp_path, cli, receiver):
    cli("perdure init orders", tmp_path)
    folder = tmp_path / "orders"
    environment = {"PERDURE_ALERTS_URL": receiver.url, "PERDURE_ALERTS_SECRET_ENV": "ALERT_SECRET", **ENVIRONMENT}
    assert cli("perdure alerts --test", folder, expect=4).err.startswith("error[not_ready]: Nobody is told")
    assert "delivered  a test, HTTP 204" in cli("perdure alerts --test", folder, **environment).out
    [told] = receiver.messages
    assert (told["event"], told["project"]) == ("test", "orders")
    receiver.answers = [503]
    failed = cli("perdure alerts --test", folder, expect=7, **environment)
    assert f"to 127.0.0.1:{receiver.port} did not arrive: HTTP 503." in failed.err
    tried = msgspec.json.decode(cli("perdure alerts --json", folder, **environment).out)["tried"]
    assert [(each["events"], each["status"], each["delivered"]) for each in tried] == [
        (["test"], 204, True),
        (["test"], 503, False),
    ]
    shown = cli("perdure alerts", folder, **environment).out
    assert f"alerts to 127.0.0.1:{receiver.port} (json)" in shown
    assert "?to=ops" not in shown


def test_status_says_that_alerts_do_not_arrive(tmp_path, receiver):
    from perdure.core.settings import Settings
    from perdure.surface.alerting import problem_of

    receiver.answers = [410, 503]
    plant = Told(tmp_path, [watched(boiler(3), approve_by="ops"), watched(boiler(3, name="kettle"))], receiver.url)
    plant.run(2, 3)
    with plant.place.stores.ledger.read() as session:
        told = problem_of(settings_for(receiver.url), session)
        assert problem_of(Settings().alerts, session) == ""
    assert told == f"1 waiting, 1 given up; last try to 127.0.0.1:{receiver.port}: HTTP 503"


def test_a_loop_without_an_address_keeps_no_outbox(tmp_path):
    plant = Plant(tmp_path, [watched(boiler(3))])
    plant.run(0, 4)
    with plant.place.stores.ledger.read() as session:
        assert find_outbox(session) is None
    assert plant.incidents()[0].opened_at - timedelta(days=3) == T0
