"""Which surveys and nights a context's partition keys mean.

The definitions of the partitions are not imported: they read ``surveys.yaml``, and an IO
manager serves whatever surveys the keys name.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import dagster as dg

SURVEY = "survey"
NIGHT = "night"


@dataclass(frozen=True)
class Partitions:
    """Surveys and nights.

    Attributes
    ----------
    nights
        Survey → its nights; no nights for a partition that is a whole survey.
    """

    nights: dict[str, list[dt.date]] = field(default_factory=dict)


def partitions_of(context: dg.InputContext) -> Partitions:
    """Partitions of the upstream asset that an input asks for."""
    definition = context.asset_partitions_def
    return parse_keys(context.asset_partition_keys, definition)


def parse_keys(keys: Iterable[str], definition: dg.PartitionsDefinition) -> Partitions:
    """Read partition keys of ``survey × night`` or of ``survey`` alone.

    Parameters
    ----------
    keys
        Keys of ``definition``.
    """
    nights: dict[str, list[dt.date]] = defaultdict(list)
    for key in keys:
        if isinstance(definition, dg.MultiPartitionsDefinition):
            dimensions = definition.get_partition_key_from_str(key).keys_by_dimension
            nights[dimensions[SURVEY]].append(dt.date.fromisoformat(dimensions[NIGHT]))
        else:
            _ = nights[key]
    return Partitions(dict(nights))
