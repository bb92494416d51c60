"""An eval as JUnit's XML, which CI servers read: one test suite a suite, one test case a gate.

A gate is what a build fails on, a case is not: one flaky answer must not turn a build red, so cases stand in the gate's
output, each with the seconds that its answers took. What is not enough evidence is skipped, or a failure where the build is
strict. The shape is that of Ant and Jenkins, without their extensions; XML has no place for most control characters, which
answers hold: they are shown as what they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree as ET

from perdure.assets.health import Verdict
from perdure.core.clock import iso
from perdure.core.verdict import Comparison
from perdure.surface.eval_told import CaseTold, EvalTold, case_line, difference_text, interval_text, notable, visible
from perdure.surface.words import counted, money

_CASES = 20
"""Cases that a gate's output names; the page has all."""
_ALONE = "measured"
"""The one test of a suite that has no gate: it is told, and cannot fail."""


def junit_xml(evals: Sequence[EvalTold], *, strict: bool = False) -> bytes:
    """The evals as one XML file in UTF-8; equal evals, equal bytes.

    Args:
        evals: a test suite each.
        strict: not enough evidence, and a run that is partial, fail instead of being skipped.
    """
    suites = [_suite(each, strict) for each in evals]
    root = ET.Element("testsuites", _sums(suites, sum(each.took_s for each in evals)))
    root.extend(suites)
    ET.indent(root)
    told: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return told + b"\n"


def _suite(told: EvalTold, strict: bool) -> ET.Element:
    tests = [_test(told, gate, strict) for gate in told.gates] or [_measured(told, strict)]
    tests[0].set("time", f"{told.took_s:.3f}")
    suite = ET.Element("testsuite", {"name": visible(told.suite)})
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(told):
        ET.SubElement(properties, "property", {"name": name, "value": visible(value)})
    suite.extend(tests)
    counts = {name: str(sum(test.find(tag) is not None for test in tests)) for name, tag in _COUNTED}
    stamp = {"time": f"{told.took_s:.3f}", "timestamp": iso(told.at)[:19], "hostname": "localhost"}
    for name, value in {"tests": str(len(tests)), **counts, **stamp}.items():
        suite.set(name, value)
    return suite


_COUNTED = (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))


def _sums(suites: Sequence[ET.Element], took_s: float) -> dict[str, str]:
    names = ("tests", *(name for name, _ in _COUNTED))
    return {name: str(sum(int(suite.get(name, "0")) for suite in suites)) for name in names} | {"time": f"{took_s:.3f}"}


def _properties(told: EvalTold) -> Iterator[tuple[str, str]]:
    yield from (("suite_version", told.version), ("run", told.run), ("role", told.role))
    yield "versions", " ".join(side.subject for side in told.sides)
    yield "cases", str(told.n_cases)
    yield "clusters", str(told.n_clusters)
    yield "samples", str(told.n_samples)
    yield "spent", money(told.spent_usd)
    yield "waited_s", f"{told.waited_s:.3f}"
    yield "known", str(sum(side.n_cached for side in told.sides))
    if told.partial:
        yield "partial", told.partial


def _test(told: EvalTold, gate: Verdict, strict: bool) -> ET.Element:
    test = ET.Element(
        "testcase", {"classname": f"perdure.{visible(told.suite)}", "name": visible(gate.gate), "time": "0.000"}
    )
    unsure = gate.comparison is Comparison.NOT_ENOUGH_EVIDENCE
    message = {"message": visible(gate.text)}
    if not gate.passed and (strict or not unsure):
        failure = ET.SubElement(test, "failure", {**message, "type": str(gate.comparison).replace(" ", "_")})
        failure.text = "\n".join(_body(told))
    elif not gate.passed:
        ET.SubElement(test, "skipped", message)
    ET.SubElement(test, "system-out").text = "\n".join(_body(told))
    return test


def _measured(told: EvalTold, strict: bool) -> ET.Element:
    test = ET.Element("testcase", {"classname": f"perdure.{visible(told.suite)}", "name": _ALONE, "time": "0.000"})
    if told.partial:
        tag, more = ("failure", {"type": "partial"}) if strict else ("skipped", {})
        ET.SubElement(test, tag, {"message": visible(told.partial), **more})
    ET.SubElement(test, "system-out").text = "\n".join(_body(told))
    return test


def _body(told: EvalTold) -> Iterator[str]:
    yield visible(told.text) or f"{counted(told.n_cases, 'case')} measured."
    for side in told.sides:
        yield f"{visible(side.subject)}: {interval_text(side.score, side.mean)}, {counted(side.n_failed, 'failed answer')}"
    if told.difference is not None:
        yield f"difference: {difference_text(told.difference)}"
    cases = notable(told)
    yield from (f"{case_line(case)}, {_seconds(case)}" for case in cases[:_CASES])
    if len(cases) > _CASES:
        yield f"and {counted(len(cases) - _CASES, 'case')} more"


def _seconds(case: CaseTold) -> str:
    """How long its answers took when they were made, one after another, and how many of them were known."""
    answers = [each for side in case.answers for each in side]
    known = sum(each.cached for each in answers)
    told = f"{sum(each.latency_ms for each in answers) / 1e3:.3f} s"
    return f"{told} ({counted(known, 'answer')} of them known)" if known else told
