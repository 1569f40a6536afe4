"""Prometheus' text format 0.0.4, read strictly: what a scraper would refuse, or misread, is an AssertionError."""

import re
from dataclasses import dataclass, field
from typing import Final

_NAME: Final = r"[a-z][a-z0-9_]*"
_HELP: Final = re.compile(rf"# HELP ({_NAME}) (\S.*)")
_TYPE: Final = re.compile(rf"# TYPE ({_NAME}) (counter|gauge|histogram)")
_LABEL: Final = re.compile(rf'({_NAME})="((?:[^"\\\n]|\\[\\"n])*)"')
_SAMPLE: Final = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (\S+)")


@dataclass
class Family:
    """One metric: its samples by suffix and labels."""

    name: str
    text: str
    kind: str
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """The names of its labels, without `le`."""
        return sorted({name for _, labels in self.samples for name, _ in labels} - {"le"})


def read(text: str) -> dict[str, Family]:
    """Return the metrics of one scrape by name."""
    assert text.endswith("\n")
    families: dict[str, Family] = {}
    lines = iter(text.splitlines())
    family: Family | None = None
    for line in lines:
        if line.startswith("#"):
            about, kind = _HELP.fullmatch(line), _TYPE.fullmatch(next(lines))
            assert about, line
            assert kind, line
            assert about[1] == kind[1] not in families, line
            family = families[about[1]] = Family(about[1], about[2], kind[2])
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample, line
        assert family is not None, line
        suffix = sample[1].removeprefix(family.name)
        assert suffix in (("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)), line
        labels = tuple(_LABEL.findall(sample[2] or ""))
        assert ",".join(f'{name}="{value}"' for name, value in labels) == (sample[2] or ""), line
        assert (suffix, labels) not in family.samples, line
        family.samples[suffix, labels] = float(sample[3])
    for each in families.values():
        _check(each)
    return families


def _check(family: Family) -> None:
    assert (family.kind == "counter") == family.name.endswith("_total"), family.name
    if family.kind == "histogram":
        buckets = [value for (suffix, _), value in family.samples.items() if suffix == "_bucket"]
        bounds = [float(dict(labels)["le"]) for suffix, labels in family.samples if suffix == "_bucket"]
        assert buckets == sorted(buckets), family.name
        assert bounds == sorted(set(bounds)), family.name
        assert bounds[-1] == float("inf"), family.name
        assert buckets[-1] == family.samples["_count", ()], family.name
