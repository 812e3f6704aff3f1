"""MAST: what is asked of the portal, what is chosen of its answers, what the user reads."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astrid_core.errors import (
    ForbiddenAddressError,
    SurveyRefusedError,
    SurveyUnavailableError,
)
from astrid_core.identity import sha256_file
from astrid_core.remote.session import USER_AGENT
from astrid_core.stages.ingest import ingest_night
from astrid_core.surveys.archive.mast import filter_elements
from astrid_core.surveys.archive.survey import ArchiveSurvey
from astrid_core.surveys.config import SurveyConfig
from astrid_core.surveys.protocol import SourceFile, Survey, UnfetchedFile
from astrid_core.surveys.registry import open_survey
from tests.archive_server import ArchiveServer, Fault, Reply, hang_up, html, redirect, status
from tests.archives import options, tiny_fits
from tests.mast_portal import COLUMNS, INVOKE, MastPortal, observation

MJD = 60928.1  # 2025-09-10T02:24
NIGHT = dt.date(2025, 9, 10)


@pytest.fixture
def archive() -> Iterator[ArchiveServer]:
    with ArchiveServer() as server:
        yield server


@pytest.fixture
def portal(archive: ArchiveServer) -> MastPortal:
    return MastPortal(archive)


def survey_of(archive: ArchiveServer, cache: Path, **mast: Any) -> ArchiveSurvey:
    given = {
        "url": archive.url(),
        "collections": ["HST"],
        "instruments": ["ACS/WFC"],
        "dates": "2025-09-01..2025-09-30",
        "product_groups": ["DRC"],
    }
    rules = options(archive, cache, attempts=2).model_dump(mode="json")
    config = SurveyConfig.model_validate(
        {
            "name": "hst",
            "adapter": "mast",
            "references": {"name": "none"},
            "archive": rules,
            "mast": given | mast,
        }
    )
    opened = open_survey(config)
    assert isinstance(opened, ArchiveSurvey)
    assert isinstance(opened, Survey)
    return opened


# --- what is found ----------------------------------------------------------------------------


def test_a_night_s_files_come_byte_for_byte(portal: MastPortal, tmp_path: Path) -> None:
    body = tiny_fits(1)
    portal.add(observation("1", MJD), {"j1_drc.fits": body, "j1_flc.fits": tiny_fits(2)})
    survey = survey_of(portal.server, tmp_path)

    assert survey.nights() == [NIGHT]
    [file] = survey.files(NIGHT)

    assert isinstance(file, SourceFile)
    assert file.name == "HST/product/j1_drc.fits"
    assert file.path.read_bytes() == body


def test_every_request_is_ours(portal: MastPortal, tmp_path: Path) -> None:
    """astroquery has sessions and addresses of its own; none of them is used."""
    portal.add(observation("1", MJD), {"j1_drc.fits": tiny_fits(1)})

    list(survey_of(portal.server, tmp_path).files(NIGHT))

    paths = {asked.path for asked in portal.server.log}
    assert paths == {INVOKE, COLUMNS, "/api/v0.1/Download/file"}
    assert {asked.headers["user-agent"] for asked in portal.server.log} == {USER_AGENT}


def test_the_portal_is_asked_for_the_night_alone(portal: MastPortal, tmp_path: Path) -> None:
    survey_of(
        portal.server, tmp_path, cones=[{"field": "m1", "ra": 83.6, "dec": 22.0, "radius_deg": 0.1}]
    ).products(NIGHT)

    asked = json.loads(portal.server.asked(INVOKE)[0].one("request"))
    assert asked["service"] == "Mast.Caom.Filtered.Position"
    assert [float(part) for part in asked["params"]["position"].split(",")] == [83.6, 22.0, 0.1]
    rules = {rule["paramName"]: rule["values"] for rule in asked["params"]["filters"]}
    assert rules["t_min"] == [{"min": 60927.0, "max": 60930.0}]
    assert rules["obs_collection"] == ["HST"]
    assert rules["instrument_name"] == ["ACS/WFC"]


@pytest.mark.parametrize(
    ("longitude_deg", "night"),
    [(None, "2025-09-10"), (-70.8, "2025-09-09"), (149.1, "2025-09-10")],
)
def test_nights_are_those_of_the_middle_of_the_exposure(
    portal: MastPortal, tmp_path: Path, longitude_deg: float | None, night: str
) -> None:
    portal.add(observation("1", MJD), {"j1_drc.fits": tiny_fits(1)})
    survey = survey_of(portal.server, tmp_path)
    config = survey.config.model_copy(update={"longitude_deg": longitude_deg})

    assert open_survey(config).nights() == [dt.date.fromisoformat(night)]


def test_an_exposure_over_midnight_is_of_one_night(portal: MastPortal, tmp_path: Path) -> None:
    portal.add(observation("1", 60928.99, t_max=60929.03), {"j1_drc.fits": tiny_fits(1)})
    survey = survey_of(portal.server, tmp_path)

    assert survey.nights() == [dt.date(2025, 9, 11)]
    assert survey.products(dt.date(2025, 9, 10)) == []
    assert len(survey.products(dt.date(2025, 9, 11))) == 1


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        ({}, ["a_drc.fits", "b_drc.fits", "d_drc.fits"]),
        ({"filters": ["F814W"]}, ["a_drc.fits", "d_drc.fits"]),
        ({"filters": ["f6*"]}, ["b_drc.fits"]),
        ({"filters": ["F81"]}, []),
        ({"instruments": ["ACS*"]}, ["a_drc.fits", "b_drc.fits", "d_drc.fits"]),
        (
            {"instruments": ["ACS*", "WFC3*"]},
            ["a_drc.fits", "b_drc.fits", "c_drc.fits", "d_drc.fits"],
        ),
        ({"collections": ["JWST"]}, []),
        ({"proposals": ["10001"]}, ["d_drc.fits"]),
        ({"calibration_levels": [2]}, []),
        ({"product_groups": []}, ["a_drc.fits", "a_flc.fits.gz", "b_drc.fits", "d_drc.fits"]),
        ({"product_groups": [], "file_names": ["*.gz"]}, ["a_flc.fits.gz"]),
        ({"exclude": ["a_*"]}, ["b_drc.fits", "d_drc.fits"]),
        ({"product_types": ["AUXILIARY"], "product_groups": []}, ["a_jit.fits"]),
        ({"dates": "2025-09-11..2025-09-30"}, []),
        ({"cones": [{"ra": 150.0, "dec": 2.0}]}, ["a_drc.fits", "b_drc.fits"]),
    ],
)
def test_rules_choose(
    portal: MastPortal, tmp_path: Path, rules: dict[str, Any], names: list[str]
) -> None:
    body = tiny_fits(1)
    portal.add(observation("1", MJD), {"a_drc.fits": body, "a_flc.fits.gz": body, "a.jpg": b""})
    portal.add(observation("1", MJD), {"a_jit.fits": body}, productType="AUXILIARY")
    portal.add(observation("2", MJD, filters="F606W"), {"b_drc.fits": body})
    portal.add(observation("3", MJD, instrument_name="WFC3/UVIS"), {"c_drc.fits": body})
    portal.add(observation("4", MJD, proposal_id="10001", s_ra=10.0), {"d_drc.fits": body})
    portal.add(observation("5", MJD, dataRights="EXCLUSIVE_ACCESS"), {"e_drc.fits": body})
    portal.add(observation("6", MJD, intentType="calibration"), {"f_drc.fits": body})
    portal.add(observation("7", MJD, dataproduct_type="spectrum"), {"g_drc.fits": body})
    portal.add(observation("8", MJD, t_max=None), {"h_drc.fits": body})

    found = survey_of(portal.server, tmp_path, **rules).products(NIGHT)

    assert [product.file_name for product in found] == names


def test_rows_that_were_not_asked_for_are_left_out(portal: MastPortal, tmp_path: Path) -> None:
    portal.add(observation("1", MJD, obs_collection="GALEX"), {"x_drc.fits": tiny_fits(1)})
    portal.add(observation("2", MJD), {"a_drc.fits": tiny_fits(1)})

    def unfiltered(right: Reply, asked: Any) -> Reply:
        request = json.loads(asked.one("request"))
        request["params"]["filters"] = []
        rows = {"status": "COMPLETE", "fields": json.loads(right.body)["fields"]}
        return Reply(json.dumps(rows | {"data": portal.observations}).encode())

    portal.server.fault(INVOKE, unfiltered)

    found = survey_of(portal.server, tmp_path).products(NIGHT)

    assert [product.file_name for product in found] == ["a_drc.fits"]


def test_a_file_of_two_observations_is_one_product(portal: MastPortal, tmp_path: Path) -> None:
    portal.add(observation("1", MJD), {"a_drc.fits": tiny_fits(1)})
    portal.add(observation("2", MJD), {})
    portal.products.append(portal.products[0] | {"parent_obsid": "2"})

    assert len(survey_of(portal.server, tmp_path).products(NIGHT)) == 1


def test_a_cone_names_the_field(portal: MastPortal, tmp_path: Path) -> None:
    portal.add(observation("1", MJD), {"a_drc.fits": tiny_fits(1)})
    cones = [{"field": "cosmos", "ra": 150.0, "dec": 2.0}]

    [product] = survey_of(portal.server, tmp_path, cones=cones).products(NIGHT)

    assert product.field == "cosmos"


def test_many_observations_are_asked_for_in_batches(portal: MastPortal, tmp_path: Path) -> None:
    for n in range(450):
        portal.add(observation(str(n), MJD), {f"{n:03d}_drc.fits": b""})

    assert len(survey_of(portal.server, tmp_path).products(NIGHT)) == 450
    assert len(portal.server.asked(INVOKE)) == 1 + 3


def test_no_page_of_an_answer_is_lost(
    portal: MastPortal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astrid_core.surveys.archive.mast._ROWS_A_PAGE", 70)
    for n in range(300):
        portal.add(observation(str(n), MJD + n / 12), {f"{n:03d}_drc.fits": b""})
    survey = survey_of(portal.server, tmp_path, max_observations=12)

    nights = survey.nights()

    # Two hours apart, until the survey's last night; the first one has begun before.
    assert len(nights) == 21
    found = [product.name for night in nights for product in survey.products(night)]
    expected = [f"HST/product/{n:03d}_drc.fits" for n in range(len(found))]
    assert sorted(found) == expected
    assert len(found) == 251


def test_a_portal_that_is_still_executing_is_waited_for(portal: MastPortal, tmp_path: Path) -> None:
    portal.add(observation("1", MJD), {"a_drc.fits": tiny_fits(1)})
    portal.executing = 3

    assert len(survey_of(portal.server, tmp_path).products(NIGHT)) == 1


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("F814W;CLEAR2L", ("F814W",)),
        ("CLEAR1L;F435W", ("F435W",)),
        ("F606W", ("F606W",)),
        ("CLEAR", ("CLEAR",)),
        ("F200W; F212N", ("F200W", "F212N")),
        ("", ()),
    ],
)
def test_filters_are_parsed(text: str, elements: tuple[str, ...]) -> None:
    assert filter_elements(text) == elements


# --- faults, and what the user reads ------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (status(503), SurveyUnavailableError, "is unavailable"),
        (hang_up, SurveyUnavailableError, "cannot be reached"),
        (html, SurveyRefusedError, "answers what is no portal's answer"),
        (status(400), SurveyRefusedError, "answers HTTP 400"),
        (lambda *_: Reply(b"{}"), SurveyRefusedError, "answers what is no portal's answer"),
        (lambda *_: Reply(b'{"status": "COMPLETE"}'), SurveyRefusedError, "no portal's answer"),
        (
            lambda *_: Reply(b'{"status": "ERROR", "msg": "database is down"}'),
            SurveyUnavailableError,
            "fails: database is down",
        ),
        (redirect("https://example.org/"), ForbiddenAddressError, "archive.allowed_hosts"),
    ],
)
def test_a_portal_in_trouble_makes_no_rows(
    portal: MastPortal, tmp_path: Path, fault: Fault, kind: type[Exception], said: str
) -> None:
    portal.add(observation("1", MJD), {"a_drc.fits": tiny_fits(1)})
    portal.server.always(INVOKE, fault)
    survey = survey_of(portal.server, tmp_path)

    with pytest.raises(kind, match="Survey 'hst'") as caught:
        list(ingest_night(survey, NIGHT, 4.0))

    assert type(caught.value) is kind
    assert said in str(caught.value)


def test_an_empty_night_is_no_error(portal: MastPortal, tmp_path: Path) -> None:
    survey = survey_of(portal.server, tmp_path)

    assert survey.nights() == []
    assert list(survey.files(NIGHT)) == []


def test_more_observations_than_a_night_may_have_are_refused(
    portal: MastPortal, tmp_path: Path
) -> None:
    for n in range(3):
        portal.add(observation(str(n), MJD), {})

    with pytest.raises(SurveyRefusedError, match=r"lists 3 observations .*max_observations"):
        survey_of(portal.server, tmp_path, max_observations=2).products(NIGHT)


# --- rows -----------------------------------------------------------------------------------


def test_files_become_rows_and_failures_failed_rows(portal: MastPortal, tmp_path: Path) -> None:
    bodies = {f"{n}_drc.fits": tiny_fits(n) for n in range(3)}
    uris = [
        uri
        for n in range(3)
        for uri in portal.add(observation(str(n), MJD), {f"{n}_drc.fits": bodies[f"{n}_drc.fits"]})
    ]
    portal.server.always(portal.target(uris[1]), html)

    outcomes = list(ingest_night(survey_of(portal.server, tmp_path), NIGHT, 4.0))

    assert [outcome.row["status"] for outcome in outcomes] == ["completed", "failed", "completed"]
    failed = outcomes[1]
    assert failed.row["source"] == "HST/product/1_drc.fits"
    assert failed.row["error_type"] == "DownloadError"
    assert "answers an HTML page instead of the FITS file" in failed.row["error_message"]
    assert failed.row["n_observations"] == 0
    assert failed.row["sha256"] is None
    assert failed.staged is None
    assert failed.children == ()
    for n in (0, 2):
        staged = outcomes[n].staged
        assert staged is not None
        assert staged.path.read_bytes() == bodies[f"{n}_drc.fits"]
        assert sha256_file(staged.path) == staged.sha256 == outcomes[n].row["sha256"]
        [child] = outcomes[n].children
        assert child["archive_id"] == f"HST/product/{n}_drc.fits"


def test_a_dry_run_says_what_would_be_fetched(portal: MastPortal, tmp_path: Path) -> None:
    portal.add(observation("1", MJD), {"a_drc.fits": bytes(1 << 20)})

    planned = survey_of(portal.server, tmp_path).plan(NIGHT)

    assert planned.describe() == "1 files: 0 cached, 1 to fetch (1.0 MiB), 0 refused"
    assert "/api/v0.1/Download/file" not in {asked.path for asked in portal.server.log}


# --- configuration ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"archive": None}, "adapter 'mast' needs the keys 'archive' and 'mast'"),
        ({"skyview": {}}, "skyview"),
        ({"archive": {"allowed_hosts": ["example.org"]}}, "is not in 'archive.allowed_hosts'"),
        (
            {"mast": {"collections": ["HST"], "dates": "2025-09-01..2025-09-02"}},
            "all of MAST is no survey",
        ),
        (
            {
                "mast": {
                    "collections": ["HST"],
                    "proposals": ["1"],
                    "dates": "2025-09-02..2025-09-01",
                }
            },
            "before they begin",
        ),
    ],
)
def test_entries_are_validated(
    archive: ArchiveServer, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    given = survey_of(archive, tmp_path).config.model_dump(mode="json", exclude_none=True)

    with pytest.raises(ValueError, match=said):
        SurveyConfig.model_validate(given | changes)


def test_the_name_of_a_secret_is_recorded_and_never_the_secret(
    archive: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAST_API_TOKEN", "s3cret")
    given = survey_of(archive, tmp_path).config.model_dump(mode="json", exclude_none=True)
    given["archive"]["credentials"] = [{"host": archive.host, "secret_env": "MAST_API_TOKEN"}]
    config = SurveyConfig.model_validate(given)
    MastPortal(archive)

    assert open_survey(config).nights() == []
    assert "MAST_API_TOKEN" in config.model_dump_json()
    assert "s3cret" not in config.model_dump_json() + repr(config)
    assert {asked.headers["authorization"] for asked in archive.log} == {"Bearer s3cret"}


# --- recorded answers -------------------------------------------------------------------------


@pytest.fixture
def recorded(archive: ArchiveServer, real_data: Path) -> MastPortal:
    """The portal's own answers, recorded by astroquery's tests."""
    folder = real_data / "http-mast-skyview"
    if not folder.is_dir():
        pytest.skip(f"NO RECORDED ANSWERS in {folder}: this test proves nothing here.")
    portal = MastPortal(archive)

    def answer(asked: Any) -> Reply:
        service = json.loads(asked.one("request"))["service"]
        name = "products.json" if service == "Mast.Caom.Products" else "caom.json"
        return Reply((folder / name).read_bytes())

    archive.answer(INVOKE, answer)
    archive.answer(COLUMNS, lambda _: Reply((folder / "columnsconfig.json").read_bytes()))
    return portal


@pytest.mark.real_data
def test_recorded_observations_are_read(recorded: MastPortal, tmp_path: Path) -> None:
    survey = survey_of(
        recorded.server,
        tmp_path,
        instruments=["WFPC2*"],
        dates="1995-01-01..1995-12-31",
        product_groups=["C0M", "C1M"],
    )

    assert survey.nights() == [dt.date(1995, 2, 8)]
    found = survey.products(dt.date(1995, 2, 8))
    # Of 22 products of HST's U9O40504M two are its calibrated and drizzled images.
    assert [(one.name, one.size_bytes) for one in found] == [
        ("HST/product/u9o40504m_c0m.fits", 10307520),
        ("HST/product/u9o40504m_c1m.fits", 5178240),
    ]


@pytest.mark.real_data
def test_a_recorded_listing_and_a_real_image_make_an_observation(
    recorded: MastPortal, tmp_path: Path, real_data: Path
) -> None:
    image = real_data / "hostile" / "j94f05bgq_flt.fits"
    uri = "mast:HST/product/u9o40504m_drz.fits"
    recorded.put(uri, image.read_bytes())
    survey = survey_of(
        recorded.server,
        tmp_path,
        instruments=["WFPC2*"],
        dates="1995-02-08",
        product_groups=["DRZ", "C0F"],
    )
    rules = survey.config.archive
    assert rules is not None
    config = survey.config.model_copy(
        update={"archive": rules.model_copy(update={"stated_sizes": "estimate"})}
    )

    files = list(open_survey(config).files(dt.date(1995, 2, 8)))

    [other, real] = files
    assert isinstance(real, SourceFile)
    assert real.path.read_bytes() == image.read_bytes()
    assert isinstance(other, UnfetchedFile)
    assert "HTTP 404" in str(other.error)


# --- answers that harm --------------------------------------------------------------------------

ODD = st.sampled_from(
    (
        None, "", "x", [], {}, True, -1, 0, 1e308, -1e308, "NaN", float("nan"), 10**30, [[1]],
        "\ud800", "a\0b", "<script>", "POLYGON " + "9 " * 999, "../../x.fits", "http://x/y.fits",
    )
)  # fmt: skip


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_answer_raises_anything_but_what_is_ours(
    portal: MastPortal, tmp_path: Path, data: st.DataObject
) -> None:
    portal.observations.clear()
    portal.products.clear()
    portal.add(observation("1", MJD), {"j1_drc.fits": tiny_fits(1)})

    def harmed(right: Reply, _: Any) -> Reply:
        answer = json.loads(right.body)
        if answer.get("data") and data.draw(st.booleans()):
            row = answer["data"][0]
            row[data.draw(st.sampled_from(sorted(row)))] = data.draw(ODD)
        else:
            answer[data.draw(st.sampled_from(sorted(answer)))] = data.draw(ODD)
        return Reply(json.dumps(answer).encode())

    portal.server.always(data.draw(st.sampled_from([INVOKE, INVOKE, COLUMNS])), harmed)
    try:
        survey_of(portal.server, tmp_path).products(NIGHT)
    except SurveyUnavailableError:
        return
    finally:
        portal.server._always.clear()
