"""Configuration of the cross-match: which catalogues are asked, where, how near is a match.

No catalogue is asked by default.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, field_validator

CatalogueName = Literal["gaia", "vsx", "skybot"]

VIZIER_TAP = HttpUrl("https://tapvizier.cds.unistra.fr/TAPVizieR/tap/sync")
SKYBOT = HttpUrl("https://ssp.imcce.fr/webservices/skybot/api/conesearch.php")
GEOCENTRE = "500"
"""IAU code of the centre of the Earth, assumed where a survey states no observatory."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GaiaConfig(_Model):
    """Gaia DR3 as VizieR's table I/355/gaiadr3."""

    url: HttpUrl = Field(default=VIZIER_TAP, description="Synchronous TAP service of VizieR.")
    radius_arcsec: float = Field(default=1.5, gt=0, le=60, description="Match radius.")
    max_magnitude: float = Field(
        default=21.0, ge=0, le=25, description="Faintest G; fainter sources are not asked for."
    )


class VsxConfig(_Model):
    """The AAVSO's Variable Star Index as VizieR's table B/vsx/vsx."""

    url: HttpUrl = Field(default=VIZIER_TAP, description="Synchronous TAP service of VizieR.")
    radius_arcsec: float = Field(default=3.0, gt=0, le=60, description="Match radius.")
    keep_days: float = Field(
        default=30.0, gt=0, le=3650, description="Days after which an answer is asked for again."
    )


class SkybotConfig(_Model):
    """IMCCE's SkyBoT: where known solar-system objects were at mid-exposure."""

    url: HttpUrl = Field(default=SKYBOT, description="Cone-search service.")
    radius_arcsec: float = Field(default=5.0, gt=0, le=120, description="Match radius.")
    max_magnitude: float = Field(
        default=25.0, ge=0, le=35, description="Faintest predicted V that may match."
    )
    max_position_err_arcsec: float = Field(
        default=120.0,
        gt=0,
        le=120,
        description="Objects whose ephemeris is less certain are not asked for.",
    )


class ServiceConfig(_Model):
    """How a service is asked, and how much it may answer."""

    timeout_s: float = Field(
        default=60.0, gt=0, le=600, description="Longest time for one answer, seconds."
    )
    attempts: int = Field(
        default=3, ge=1, le=10, description="Tries in all when a service fails for the moment."
    )
    longest_wait_s: float = Field(
        default=30.0,
        gt=0,
        le=600,
        description="Longest wait between two tries, seconds. A service that asks for more "
        "(Retry-After) is not asked again in this run.",
    )
    rate_per_s: float = Field(
        default=4.0, gt=0, le=1000, description="Requests begun per second and host, at most."
    )
    allow_private: bool = Field(
        default=False,
        description="Whether a service may be on a private or loopback address: a mirror of "
        "one's own.",
    )
    max_answer_mib: float = Field(
        default=64.0, gt=0, le=1024, description="Largest answer accepted, MiB decompressed."
    )
    max_sources: int = Field(
        default=50_000, ge=1, le=1_000_000, description="Most sources of one answer."
    )


class CrossmatchConfig(_Model):
    """Configuration of ``crossmatches``; ``catalogues`` empty asks nobody."""

    catalogues: tuple[CatalogueName, ...] = Field(
        default=(), description="Catalogues to ask: gaia, vsx, skybot. None by default."
    )
    observatory_code: str | None = Field(
        default=None,
        pattern=r"^[0-9A-Za-z]{3}$",
        description="IAU code of the observatory, for SkyBoT. Null: the geocentre is assumed, "
        "which misplaces main-belt asteroids by up to 10 arcsec and near ones by far more.",
    )
    max_matches: int = Field(
        default=3, ge=1, le=20, description="Nearest sources kept of a detection and catalogue."
    )
    density_radius_arcmin: float = Field(
        default=3.0,
        gt=0,
        le=60,
        description="Radius about a detection in which sources are counted for the probability "
        "of a chance coincidence.",
    )
    gaia: GaiaConfig = Field(default_factory=GaiaConfig, description="Gaia DR3.")
    vsx: VsxConfig = Field(default_factory=VsxConfig, description="Variable stars.")
    skybot: SkybotConfig = Field(default_factory=SkybotConfig, description="Moving objects.")
    service: ServiceConfig = Field(
        default_factory=ServiceConfig, description="Patience and limits, for all services."
    )

    @field_validator("catalogues")
    @classmethod
    def _each_once(cls, given: tuple[CatalogueName, ...]) -> tuple[CatalogueName, ...]:
        if len(set(given)) != len(given):
            raise ValueError("a catalogue is named twice")
        return given
