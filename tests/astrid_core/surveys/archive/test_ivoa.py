"""The Virtual Observatory: what is asked by each protocol, what is made of the answers."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from astrid_core.errors import (
    ConfigurationError,
    ForbiddenAddressError,
    SurveyRefusedError,
    SurveyUnavailableError,
)
from astrid_core.remote.session import USER_AGENT, ArchiveSession
from astrid_core.surveys.archive.ivoa import IvoaFinder, file_name, own_error
from astrid_core.surveys.archive.listing import circle, is_convex, parse_region
from astrid_core.surveys.archive.survey import ArchiveSurvey
from astrid_core.surveys.config import SurveyConfig
from astrid_core.surveys.protocol import SourceFile, UnfetchedFile
from astrid_core.surveys.registry import open_survey
from tests.archive_server import (
    ArchiveServer,
    Fault,
    Reply,
    busy,
    hang_up,
    html,
    malformed_votable,
    redirect,
    slow,
    status,
)
from tests.archives import options, tiny_fits
from tests.vo_services import PATHS, QUERIED, Held, VoArchive, overflow, query_error, votable

PROTOCOLS = tuple(PATHS)
MJD = 60928.1  # 2025-09-10T02:24 UTC: in Chile the night of the 9th
NIGHT = dt.date(2025, 9, 9)
CHILE_DEG = -70.8


@pytest.fixture
def archive() -> Iterator[VoArchive]:
    with ArchiveServer() as server:
        yield VoArchive(server)


def survey_of(archive: VoArchive, cache: Path, protocol: str, **ivoa: Any) -> ArchiveSurvey:
    given: dict[str, Any] = {
        "url": archive.server.url(PATHS[protocol]),
        "protocol": protocol,
        "cones": [{"field": "f1", "ra": 150.0, "dec": 2.0, "radius_deg": 0.1}],
        "dates": "2025-09-01..2025-09-30",
    }
    if protocol != "sia1":
        given |= {"collections": ["SIM"], "filter_column": "energy_bandpassname"}
    rules = options(archive.server, cache, attempts=2, timeout_s=1.0).model_dump(mode="json")
    config = SurveyConfig.model_validate(
        {
            "name": "remote",
            "adapter": "ivoa",
            "longitude_deg": CHILE_DEG,
            "references": {"name": "none"},
            "archive": rules,
            "ivoa": given | ivoa,
        }
    )
    opened = open_survey(config)
    assert isinstance(opened, ArchiveSurvey)
    return opened


def names(survey: ArchiveSurvey, night: dt.date = NIGHT) -> list[str]:
    return [product.name for product in survey.products(night)]


# --- what is found ----------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_night_s_images_of_the_cone_come_byte_for_byte(
    archive: VoArchive, tmp_path: Path, protocol: str
) -> None:
    archive.add(
        Held("b.fits", tiny_fits(2), MJD + 0.1),
        Held("a.fits", tiny_fits(1), MJD),
        Held("next.fits", tiny_fits(3), MJD + 1),
        Held("far.fits", tiny_fits(4), MJD, ra=170.0),
    )
    survey = survey_of(archive, tmp_path, protocol)

    assert survey.nights() == [NIGHT, NIGHT + dt.timedelta(days=1)]
    files = list(survey.files(NIGHT))

    assert [file.name for file in files] == ["a.fits", "b.fits"]
    for file, seed in zip(files, (1, 2), strict=True):
        assert isinstance(file, SourceFile)
        assert file.path.read_bytes() == tiny_fits(seed)
        assert file.field == "f1"
    assert list(survey.files(dt.date(2025, 9, 20))) == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_request_is_ours(archive: VoArchive, tmp_path: Path, protocol: str) -> None:
    archive.add(Held("a.fits", tiny_fits(1), MJD, is_linked=protocol != "sia1"))

    list(survey_of(archive, tmp_path, protocol).files(NIGHT))

    assert {asked.headers["user-agent"] for asked in archive.server.log} == {USER_AGENT}
    linked = {"/datalink/a.fits"} if protocol != "sia1" else set()
    assert {asked.path for asked in archive.server.log} == {
        QUERIED[protocol],
        "/files/a.fits",
        *linked,
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("longitude_deg", "night"), [(None, 10), (CHILE_DEG, 9), (149.1, 10)])
def test_nights_begin_at_local_noon(
    archive: VoArchive, tmp_path: Path, protocol: str, longitude_deg: float | None, night: int
) -> None:
    archive.add(Held("a.fits", tiny_fits(1), MJD))
    config = survey_of(archive, tmp_path, protocol).config
    config = config.model_copy(update={"longitude_deg": longitude_deg})

    assert open_survey(config).nights() == [dt.date(2025, 9, night)]


@pytest.mark.parametrize("protocol", ["sia2", "obscore"])
def test_the_service_is_asked_for_the_night_alone(
    archive: VoArchive, tmp_path: Path, protocol: str
) -> None:
    survey_of(archive, tmp_path, protocol, collections=["SIM", "it's"]).products(NIGHT)

    [asked] = archive.server.asked(QUERIED[protocol])
    if protocol == "sia2":
        assert asked.query["POS"] == ["CIRCLE 150.0 2.0 0.1"]
        assert asked.query["TIME"] == ["60926.0 60929.0"]
        assert asked.query["COLLECTION"] == ["SIM", "it's"]
        assert asked.query["MAXREC"] == ["5001"]
    else:
        adql = asked.one("query")
        assert "INTERSECTS(s_region, CIRCLE('ICRS', 150.0, 2.0, 0.1))" in adql
        assert "t_min >= 60926.0 AND t_min < 60929.0" in adql
        assert "obs_collection IN ('SIM', 'it''s')" in adql
        assert "energy_bandpassname" in adql


def test_an_image_whose_centre_is_elsewhere_covers_the_cone(
    archive: VoArchive, tmp_path: Path
) -> None:
    archive.add(Held("wide.fits", tiny_fits(1), MJD, ra=150.3, half_deg=0.5))

    assert names(survey_of(archive, tmp_path, "obscore")) == ["wide.fits"]
    assert names(survey_of(archive, tmp_path, "obscore", overlap="centre")) == []


def test_a_datalink_leads_to_the_file(archive: VoArchive, tmp_path: Path) -> None:
    archive.add(Held("a.fits", tiny_fits(1), MJD, is_linked=True))

    [product] = survey_of(archive, tmp_path, "sia2").products(NIGHT)

    assert product.url == archive.server.url("/files/a.fits")
    assert product.size_bytes == len(tiny_fits(1))


@pytest.mark.parametrize(
    "fault",
    [
        malformed_votable,
        status(404),
        lambda *_: votable(
            {"ID": ["x"], "access_url": [""], "semantics": ["#this"], "error_message": ["gone"]}
        ),
    ],
)
def test_a_link_that_cannot_be_followed_costs_its_file_alone(
    archive: VoArchive, tmp_path: Path, fault: Fault
) -> None:
    archive.add(
        Held("a.fits", tiny_fits(1), MJD, is_linked=True), Held("b.fits", tiny_fits(2), MJD)
    )
    archive.server.always("/datalink/a.fits", fault)

    broken, whole = survey_of(archive, tmp_path, "sia2").files(NIGHT)

    assert isinstance(whole, SourceFile)
    assert isinstance(broken, UnfetchedFile)
    assert "a.fits" in str(broken.error)


def test_rules_are_applied_on_our_side_again(archive: VoArchive, tmp_path: Path) -> None:
    """Services that ignore a parameter exist; what they list too much is not taken."""
    body = tiny_fits(1)
    good = Held("good.fits", body, MJD)
    archive.add(
        good,
        replace(good, name="raw.fits", level=1),
        replace(good, name="cube.fits", kind="cube"),
        replace(good, name="other.fits", collection="OTHER"),
        replace(good, name="secret.fits", rights="proprietary"),
        replace(good, name="weight_good.fits"),
        replace(good, name="good.jpg"),
        replace(good, name="r.fits", filter_text="r"),
        replace(good, name="cam.fits", instrument="othercam"),
        replace(good, name="untimed.fits", is_timed=False),
    )
    everything = archive._obscore
    archive.server.answer("/sia2", lambda asked: everything(archive.held, asked))
    rules = {"exclude": ["weight_*"], "filters": ["G"], "instruments": ["SIM*"]}

    assert names(survey_of(archive, tmp_path, "sia2", **rules)) == ["good.fits"]


def test_an_image_of_two_cones_is_one(archive: VoArchive, tmp_path: Path) -> None:
    archive.add(Held("a.fits", tiny_fits(1), MJD))
    cones = [{"field": name, "ra": 150.0, "dec": 2.0, "radius_deg": 0.1} for name in ("p", "q")]

    [product] = survey_of(archive, tmp_path, "sia2", cones=cones).products(NIGHT)

    assert product.field == "p"


def test_listed_sizes_are_estimates(archive: VoArchive, tmp_path: Path) -> None:
    archive.add(Held("a.fits", tiny_fits(1), MJD))
    survey = survey_of(archive, tmp_path, "obscore")

    assert "1 to fetch (0.0 MiB), 0 refused" in survey.plan(NIGHT).describe()
    [product] = survey.products(NIGHT)
    assert product.size_bytes != len(tiny_fits(1))
    [file] = survey.files(NIGHT)
    assert isinstance(file, SourceFile)


def test_what_is_listed_says_filter_instrument_and_footprint(
    archive: VoArchive, tmp_path: Path
) -> None:
    held = Held("a.fits", tiny_fits(1), MJD, filter_text="ztf_g")
    archive.add(held)
    config = survey_of(archive, tmp_path, "sia2").config
    assert config.archive is not None
    with ArchiveSession("remote", config.archive) as session:
        [image] = IvoaFinder(config, session).listed(NIGHT, NIGHT)

    assert (image.filter_text, image.instrument) == ("ztf_g", "simcam")
    assert image.mid_mjd == pytest.approx(MJD + 30 / 86400)
    assert image.footprint is not None
    for corner, true in zip(image.footprint, held.corners, strict=True):
        assert corner == pytest.approx(true, abs=1e-6)


# --- faults, and what the user reads ------------------------------------------------------------

_REFUSALS: dict[str, tuple[Fault, str]] = {
    "cut short": (overflow, "lists more images around 150 +2 for 2025-09-09..2025-09-09 than"),
    "malformed": (malformed_votable, "answers what cannot be used"),
    "page": (html, "answers what cannot be used"),
    "refused": (query_error, "no such collection"),
    "gone": (status(404), "answers what cannot be used"),
    "no columns": (
        lambda *_: votable({"t_min": [MJD]}, kinds={"t_min": "f8"}),
        "lists 1 images without any 'access_url' (it has t_min)",
    ),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("case", _REFUSALS)
def test_an_answer_that_is_no_use_is_no_empty_night(
    archive: VoArchive, tmp_path: Path, protocol: str, case: str
) -> None:
    fault, words = _REFUSALS[case]
    archive.add(Held("a.fits", tiny_fits(1), MJD))
    archive.server.always(QUERIED[protocol], fault)

    with pytest.raises(SurveyRefusedError, match="Survey 'remote':") as caught:
        survey_of(archive, tmp_path, protocol).products(NIGHT)

    assert words in str(caught.value)
    assert str(caught.value).endswith("."), "no remedy"
    assert len(archive.server.log) == 1, "asked again in vain"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (status(503), "is unavailable. [http_status=503]"),
        (busy("0"), "http_status=429"),
        (hang_up, "cannot be reached"),
        (slow(1.5), "cannot be reached: ReadTimeout"),
    ],
)
def test_an_archive_in_trouble_is_unavailable(
    archive: VoArchive, tmp_path: Path, protocol: str, fault: Fault, words: str
) -> None:
    """pyvo wraps what the session raises; the user reads the session's own words."""
    archive.server.always(QUERIED[protocol], fault)

    with pytest.raises(SurveyUnavailableError, match="Survey 'remote':") as caught:
        survey_of(archive, tmp_path, protocol).nights()

    assert type(caught.value) is SurveyUnavailableError
    assert caught.value.transient
    assert words in str(caught.value)
    assert len(archive.server.log) == 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_trouble_that_passes_is_not_seen(archive: VoArchive, tmp_path: Path, protocol: str) -> None:
    archive.add(Held("a.fits", tiny_fits(1), MJD))
    archive.server.fault(QUERIED[protocol], status(503))

    assert names(survey_of(archive, tmp_path, protocol)) == ["a.fits"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ["BINARY2", 'FITS extnum="1"'])
def test_no_table_leads_elsewhere(
    archive: VoArchive, tmp_path: Path, protocol: str, kind: str
) -> None:
    """astropy would open whatever address a table names, allowed hosts or not."""
    address = archive.server.url("/secret")
    text = (
        '<?xml version="1.0"?><VOTABLE version="1.3"><RESOURCE type="results"><TABLE>'
        f'<FIELD name="a" datatype="int"/><DATA><{kind}><STREAM href="{address}"/>'
        f"</{kind.split()[0]}></DATA></TABLE></RESOURCE></VOTABLE>"
    )
    answer = Reply(text.encode(), 200, {"Content-Type": "application/x-votable+xml"})
    archive.server.always(QUERIED[protocol], lambda *_: answer)

    with pytest.raises(SurveyRefusedError, match="its table lies elsewhere"):
        survey_of(archive, tmp_path, protocol).products(NIGHT)

    assert len(archive.server.log) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_service_leads_elsewhere(archive: VoArchive, tmp_path: Path, protocol: str) -> None:
    archive.server.always(QUERIED[protocol], redirect("http://example.org/"))

    with pytest.raises(ForbiddenAddressError, match="allowed_hosts"):
        survey_of(archive, tmp_path, protocol).products(NIGHT)


def test_a_file_that_lies_elsewhere_is_not_fetched(archive: VoArchive, tmp_path: Path) -> None:
    archive.add(Held("a.fits", tiny_fits(1), MJD), Held("b.fits", tiny_fits(2), MJD))
    moved = archive.server.url("/files/a.fits").encode()

    def elsewhere(right: Reply, asked: Any) -> Reply:
        table = {"access_url": ["http://example.org/a.fits", archive.server.url("/files/b.fits")]}
        rows = table | {"t_min": [MJD] * 2, "calib_level": [2] * 2, "obs_collection": ["SIM"] * 2}
        assert moved not in right.body
        return votable(rows)

    archive.server.always("/sia2", elsewhere)

    stranger, ours = survey_of(archive, tmp_path, "sia2").files(NIGHT)

    assert isinstance(ours, SourceFile)
    assert isinstance(stranger, UnfetchedFile)
    assert isinstance(stranger.error, ForbiddenAddressError)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_more_images_than_a_night_may_have_are_refused(
    archive: VoArchive, tmp_path: Path, protocol: str
) -> None:
    archive.add(*(Held(f"{n}.fits", tiny_fits(n), MJD) for n in range(3)))

    with pytest.raises(SurveyRefusedError, match=r"lists more images .*max_images=2"):
        survey_of(archive, tmp_path, protocol, max_images=2).products(NIGHT)


@pytest.mark.parametrize("protocol", ["sia2", "obscore"])
def test_more_images_than_an_answer_may_have_are_asked_for_by_halves(
    archive: VoArchive, tmp_path: Path, protocol: str
) -> None:
    archive.add(*(Held(f"{n}.fits", tiny_fits(n + 5), MJD + n) for n in range(-5, 15)))

    survey = survey_of(archive, tmp_path, protocol, max_images=5)

    assert survey.nights() == [NIGHT + dt.timedelta(days=n) for n in range(-5, 15)]
    assert 4 < len(archive.server.log) < 20


def test_two_files_of_one_name_are_refused(archive: VoArchive, tmp_path: Path) -> None:
    archive.add(Held("x/a.fits", tiny_fits(1), MJD), Held("y/a.fits", tiny_fits(2), MJD))

    with pytest.raises(SurveyRefusedError, match=r"lists a\.fits more than once"):
        survey_of(archive, tmp_path, "sia2").products(NIGHT)


# --- configuration and small parts --------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "change", "words"),
    [
        ("sia1", {"collections": ["x"]}, "SIA 1 knows no 'collections'"),
        ("sia2", {"filters": ["g"], "filter_column": None}, "'filters' need the 'filter_column'"),
        ("obscore", {"table": "a; drop"}, "table"),
        ("obscore", {"cones": []}, "cones"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    archive: VoArchive, tmp_path: Path, protocol: str, change: dict[str, Any], words: str
) -> None:
    with pytest.raises((ValueError, ConfigurationError), match=words):
        survey_of(archive, tmp_path, protocol, **change)


@pytest.mark.parametrize(
    ("url", "did", "name"),
    [
        ("https://h/a/b.fits.fz?x=1", "ivo://p?1", "b.fits.fz"),
        ("https://h/cutout?id=7", "ivo://p/q?c4d 1", "ivo_p_q_c4d_1.fits"),
        ("https://h/get?f=../../x", "", "https_h_get_f_.._.._x.fits"),
    ],
)
def test_files_have_names(url: str, did: str, name: str) -> None:
    assert file_name(url, did) == name


@pytest.mark.parametrize(
    ("text", "corners"),
    [
        ("POLYGON ICRS 1 2 3 4 5 6", ((1, 2), (3, 4), (5, 6))),
        ("Polygon 1 2 3 4 5 6 1 2", ((1, 2), (3, 4), (5, 6))),
        ("1 2 3 4 5 6", ((1, 2), (3, 4), (5, 6))),
        ("CIRCLE ICRS 10 20 0.5", circle(10, 20, 0.5)),
        ("POLYGON GALACTIC 1 2 3 4 5 6", None),
        ("POLYGON ICRS 1 2 3 4 5", None),
        ("POLYGON ICRS 1 2 3 4 5 nan", None),
        ("UNION ICRS (CIRCLE 1 2 3 CIRCLE 4 5 6)", None),
        ("", None),
    ],
)
def test_regions_are_parsed(text: str, corners: Any) -> None:
    assert parse_region(text) == corners


@pytest.mark.parametrize(
    ("corners", "convex"),
    [
        (((0, 0), (1, 0), (1, 1), (0, 1)), True),
        (((0, 0), (0, 1), (1, 1), (1, 0)), True),
        (((359.5, 0), (0.5, 0), (0.5, 1), (359.5, 1)), True),
        (((0, 0), (0.5, 0), (1, 0), (1, 1), (0, 1)), True),
        (circle(10, 60, 0.5), True),
        (((0, 0), (1, 0), (0.2, 0.2), (0, 1)), False),
        (((0, 0), (1, 0), (1, 1), (0.5, 1), (0.5, 0.5), (0, 0.5)), False),
    ],
)
def test_regions_that_point_inwards_are_told(corners: Any, convex: bool) -> None:
    assert is_convex(corners) is convex


def test_our_error_is_found_behind_those_of_a_library() -> None:
    ours = SurveyRefusedError("no")
    theirs = ValueError("wrapped")
    theirs.cause = ours  # type: ignore[attr-defined]
    outer = RuntimeError("again")
    outer.__context__ = theirs
    theirs.__context__ = outer  # a circle ends too

    assert own_error(outer) is ours
    assert own_error(ValueError("theirs alone")) is None
