"""Partitions: survey × night, survey alone for references, one per training run."""

import datetime as dt
import warnings
from dataclasses import dataclass

import dagster as dg

from astrid_core.settings import DefinitionSettings
from astrid_core.surveys.config import SurveyConfig, SurveysFile, load_surveys
from astrid_core.training.config import TRAINING_PARTITIONS
from astrid_core.training.request import DATASET_PARTITIONS

SURVEY = "survey"
NIGHT = "night"


def configured_surveys() -> SurveysFile:
    """The surveys of this deployment: ``ASTRID_SURVEYS_FILE``, else the packaged ones."""
    return load_surveys(DefinitionSettings().surveys_file)


SURVEYS = configured_surveys()

surveys = dg.StaticPartitionsDefinition(sorted(SURVEYS.surveys))

# Ends a day ahead, so that last night is a partition as soon as the day begins in UTC.
nights = dg.DailyPartitionsDefinition(start_date=SURVEYS.partitions_start.isoformat(), end_offset=1)

dataset_partitions = dg.DynamicPartitionsDefinition(name=DATASET_PARTITIONS)

training_partitions = dg.DynamicPartitionsDefinition(name=TRAINING_PARTITIONS)

survey_nights = dg.MultiPartitionsDefinition({SURVEY: surveys, NIGHT: nights})


# References are built from many nights and serve many nights: "this survey, any night".
with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)  # pinned; the graph's tests watch it
    any_night = dg.MultiToSingleDimensionPartitionMapping(SURVEY)


@dataclass(frozen=True)
class SurveyNight:
    """One partition of the imaging assets."""

    survey: SurveyConfig
    night: dt.date

    @property
    def key(self) -> dg.MultiPartitionKey:
        """Dagster's key of the partition."""
        return dg.MultiPartitionKey({SURVEY: self.survey.name, NIGHT: self.night.isoformat()})


def survey_night(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> SurveyNight:
    """The survey and night a run is about."""
    dimensions = survey_nights.get_partition_key_from_str(context.partition_key).keys_by_dimension
    return SurveyNight(
        configured_surveys().surveys[dimensions[SURVEY]],
        dt.date.fromisoformat(dimensions[NIGHT]),
    )
