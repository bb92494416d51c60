"""The embedded ledger and its leases keep every promise of their Protocols."""

from __future__ import annotations

import subprocess
import sys

import pytest

from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.testing.conformance.leases import LeasesConformance
from perdure.testing.conformance.ledger import LedgerConformance


class TestSqliteLedger(LedgerConformance):
    @pytest.fixture
    def ledger(self, tmp_path):
        ledger = SqliteLedger(tmp_path / "ledger.sqlite", project="conformance")
        yield ledger
        ledger.close()


class TestSqliteLeases(LeasesConformance):
    @pytest.fixture
    def ledger(self, tmp_path):
        ledger = SqliteLedger(tmp_path / "ledger.sqlite", project="conformance")
        yield ledger
        ledger.close()

    @pytest.fixture
    def leases(self, ledger):
        return ledger.leases


def test_the_suites_need_pytest_and_no_driver():
    names = ["ledger", "jobs", "approvals", "keys", "people", "sign_in", "reviews", "leases", "blobs", "readings"]
    heavy = ["sqlalchemy", "alembic", "polars", "deltalake", "hypothesis"]
    program = (
        f"import importlib, sys\n"
        f"for name in {names}: importlib.import_module('perdure.testing.conformance.' + name)\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
