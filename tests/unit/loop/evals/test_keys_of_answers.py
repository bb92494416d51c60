"""Keys of answers stay what they are: what was paid for is found again by another release."""

from __future__ import annotations

from hashlib import sha256

import pytest

from perdure.assets.suite import Case
from perdure.loop.work.evals.frozen import FrozenCase
from perdure.loop.work.evals.subjects import Subject

TOLD = b'[{"content":"Where?","role":"user"}]'


@pytest.mark.parametrize("samples", [1, 3, 12])
def test_a_key_is_the_digest_of_messages_params_and_sample(samples: int) -> None:
    """However many samples are asked, each has the digest of the same bytes."""
    subject = Subject("ask@1", "main", lambda _: [{"role": "user", "content": "Where?"}], {}, "facts", b"[{},1]")
    asked, keys = subject.ask(FrozenCase("d", "g", Case("a", {})), samples)
    assert keys == [sha256(TOLD + b"[{},1]\0%d" % sample).hexdigest() for sample in range(samples)]
    assert asked.tags == {"suite": "facts", "case": "a", "subject": "ask@1"}
