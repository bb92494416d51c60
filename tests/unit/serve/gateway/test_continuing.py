"""References are found however they are written."""

from __future__ import annotations

import msgspec
import pytest

from perdure.core.errors import Refused
from perdure.serve.gateway.continuing import check_own


@pytest.mark.parametrize("kind", [b"item_reference", b"item_ref\\u0065rence"])
def test_a_reference_is_one_whether_or_not_its_letters_are_escaped(kind: bytes) -> None:
    with pytest.raises(Refused, match="'input' continues"):
        check_own({"input": msgspec.Raw(b' [{"type":"%s","id":"msg_1"}]' % kind)})
