"""SkyView: images of a place by sky survey, size and scale, made on request.

Verified live: no.

What belongs here: the addresses of images. What does not: fetching them (``download``).

Asked by SkyView's documented addresses for programs (``runquery.pl`` with ``Return=FITS``)
through our session. astroquery's client is not used: it finds images under addresses that
last for hours and change with every question, so that no file would be fetched only once.

Everything that comes is for display: SkyView resamples whatever it has, scans of
photographic plates included, and says nothing of photons. Such frames are marked
(``linearity`` among what is assumed of them) and refused by references.
"""

import datetime as dt
from urllib.parse import urlencode

from astrid_core.remote.session import ArchiveSession
from astrid_core.surveys.archive.product import Product
from astrid_core.surveys.archive.skyview_config import Cutout, SkyviewOptions, file_part
from astrid_core.surveys.config import SurveyConfig

_ARCSEC_PER_DEG = 3600.0


class SkyviewFinder:
    """Names the images of a survey's options; SkyView makes them when they are fetched."""

    def __init__(self, config: SurveyConfig, session: ArchiveSession) -> None:
        del session  # an address says all there is to ask
        assert config.skyview is not None, "validated with the configuration"  # noqa: S101
        self._options: SkyviewOptions = config.skyview

    def nights(self) -> list[dt.date]:
        """The one night under which the images are listed."""
        return [self._options.night]

    def products(self, night: dt.date) -> list[Product]:
        """An image of every cutout in every sky survey, by name."""
        if night != self._options.night:
            return []
        options = self._options
        found = [
            self._product(cutout, one) for cutout in options.cutouts for one in options.surveys
        ]
        return sorted(found, key=lambda product: product.name)

    def _product(self, cutout: Cutout, survey: str) -> Product:
        options = self._options
        size_deg = options.pixels * options.scale_arcsec / _ARCSEC_PER_DEG
        parameters = {
            "Survey": survey,
            "Position": f"{cutout.ra:.7f},{cutout.dec:.7f}",
            "Coordinates": "ICRS",
            "Projection": "Tan",
            "Pixels": str(options.pixels),
            "Size": f"{size_deg:.8g}",
            "Return": "FITS",
        }
        named = file_part(survey)
        return Product(
            name=f"{named}/{cutout.field}_{options.pixels}px_{options.scale_arcsec:g}as.fits",
            url=f"{str(options.url).rstrip('/')}?{urlencode(parameters)}",
            field=cutout.field,
        )
