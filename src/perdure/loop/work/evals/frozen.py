"""A suite as a run saw it when it began, kept as a blob: whatever is edited meanwhile, the run goes on with these cases.

Called by `running` at a run's begin, and when one is resumed or reported; its verdict names the version that was frozen.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import msgspec

from perdure.assets.prompt import Prompt
from perdure.assets.suite import Case, Suite
from perdure.assets.suite_cases import FrozenSuite
from perdure.assets.version import Version
from perdure.core.ids import Digest
from perdure.stores.blobs.protocols import Blobs


class FrozenCase(msgspec.Struct, frozen=True, eq=False):
    """A case with what it goes by."""

    digest: str
    """Of its content: what of it makes an answer and its score."""
    cluster: str
    case: Case


def freeze(
    blobs: Blobs, suite: Suite, prompts: Iterable[Prompt] = (), versions: Iterable[Version] = ()
) -> tuple[FrozenSuite, Digest]:
    """The suite as it is now, and where it is kept. Equal suites are one blob. Cost: some 0.1 ms a case.

    Args:
        blobs: where it is kept.
        suite: as declared.
        prompts: those whose examples no case may stand in.
        versions: those that are tested, declared or not: what they show is no proof either.

    Raises:
        BadSuite: its cases cannot be read, two are the same, or one stands in a prompt's examples.
    """
    frozen = suite.frozen(prompts, versions)
    return frozen, blobs.put(frozen.data)


def thaw(blobs: Blobs, blob: str) -> FrozenSuite:
    """What was frozen.

    Raises:
        NotFound, Corrupt: its blob is gone, or is not what it was.
    """
    return _thawed(blobs.get(Digest(blob)))


@lru_cache(maxsize=8)
def _thawed(data: bytes) -> FrozenSuite:
    """Frozen suites never change, and each look of a comparison needs its own again."""
    return FrozenSuite.from_bytes(data)


def cases_in(frozen: FrozenSuite) -> list[FrozenCase]:
    """The cases in their order."""
    pairs = zip(frozen.cases, frozen.digests, strict=True)
    return [FrozenCase(digest, case.cluster or case.id, case) for case, digest in pairs]
