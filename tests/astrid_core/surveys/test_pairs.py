"""Pairs of observations around transients: what is chosen, and a reason for all that is not."""

import csv
import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrid_core.errors import ConfigurationError, SurveyUnavailableError
from astrid_core.remote.session import ArchiveSession
from astrid_core.surveys.archive.mast_config import Cone
from astrid_core.surveys.bands import parse_band
from astrid_core.surveys.config import SurveyConfig
from astrid_core.surveys.pair_plan import LeftOut, PairPlan, counts, field_of
from astrid_core.surveys.pairs import plan_pairs
from astrid_core.surveys.registry import listing_dates, open_lister
from astrid_core.surveys.transients import COLUMNS, Transient, read_transients
from tests.archive_server import ArchiveServer, status
from tests.archives import options, tiny_fits
from tests.mast_portal import MastPortal, observation
from tests.transient_sky import (
    AFTER_MJD,
    BEFORE_MJD,
    DATES,
    DISCOVERED_MJD,
    N_TRANSIENTS,
    transient_sky,
)
from tests.vo_services import PATHS, Held, VoArchive

HEADER = "name,ra,dec,discovery_date\n"
ONE = HEADER + "sn,150,2,2025-09-05\n"


@pytest.fixture
def archive() -> Iterator[VoArchive]:
    with ArchiveServer() as server:
        yield VoArchive(server)


def survey(archive: VoArchive, cache: Path, protocol: str = "sia2", **changes: Any) -> SurveyConfig:
    return SurveyConfig.model_validate(
        {
            "name": "remote",
            "adapter": "ivoa",
            "references": {"name": "none"},
            "archive": options(archive.server, cache, attempts=1).model_dump(mode="json"),
            "ivoa": {
                "url": archive.server.url(PATHS[protocol]),
                "protocol": protocol,
                "cones": [{"ra": 0, "dec": 0}],
                "dates": DATES,
                "filter_column": None if protocol == "sia1" else "energy_bandpassname",
            },
            **changes,
        }
    )


def plan_of(config: SurveyConfig, catalogue: Path) -> PairPlan:
    transients, rejected = read_transients(catalogue)
    assert config.archive is not None
    with ArchiveSession(config.name, config.archive) as session:

        def lister_at(one: Transient) -> Any:
            place = Cone(field=field_of(one.name), ra=one.ra, dec=one.dec, radius_deg=0.01)
            return open_lister(config, session, place)

        return plan_pairs(
            config.name,
            transients,
            rejected,
            lister_at,
            listing_dates(config),
            config.pairs,
            config.keywords.filter_band.aliases,
        )


def planned(archive: VoArchive, folder: Path, text: str = ONE, **changes: Any) -> PairPlan:
    catalogue = folder / "catalogue.csv"
    catalogue.write_text(text)
    return plan_of(survey(archive, folder, **changes), catalogue)


def reasons(left_out: tuple[LeftOut, ...]) -> dict[str, str]:
    return {one.image: one.why.value for one in left_out if one.image}


# --- fifty transients ---------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["sia2", "obscore"])
def test_every_trap_around_fifty_transients_is_avoided_and_recorded(
    archive: VoArchive, tmp_path: Path, protocol: str
) -> None:
    sky = transient_sky()
    archive.add(*sky.held)
    catalogue = sky.write(tmp_path / "transients.csv")

    plan = plan_of(survey(archive, tmp_path, protocol), catalogue)

    assert plan.n_transients == N_TRANSIENTS
    chosen = {p.transient.name: (p.before.product.name, p.after.product.name) for p in plan.pairs}
    assert chosen == sky.pairs
    found = {(one.transient, one.image): one.why.value for one in plan.left_out if one.image}
    assert found == sky.traps
    assert {pair.band for pair in plan.pairs} == {"g"}
    # Every image of the archive is in the plan or has its reason, and none has both.
    in_plan = {image.product.name for image in plan.images}
    left_out = {one.image for one in plan.left_out if one.image}
    assert in_plan | left_out == {one.name for one in sky.held}
    assert not in_plan & left_out
    # So is every row of the catalogue.
    rows = {one.transient: (one.why.value, one.reason) for one in plan.left_out if not one.image}
    assert rows == {
        "line 52": ("unparsable row", "line 52 has no name"),
        "bad-ra": (
            "unparsable row",
            "line 53 'ten' is no right ascension from 0 to 360 degrees",
        ),
        "bad-dec": ("unparsable row", "line 54 '91' is no declination from -90 to 90 degrees"),
        "bad-date": ("unparsable row", "line 55 'last week' is no ISO date"),
        "T00": ("duplicate", "line 56 is T00 of line 2 again"),
        "T00-again": ("duplicate", "line 57 is T00 of line 2 again"),
    }
    assert counts(plan.left_out)["cross-filter"] == 25
    assert not any("/files/" in asked.path for asked in archive.server.log), "something was fetched"


# --- one transient ------------------------------------------------------------------------------


def test_reasons_say_what_was_found(archive: VoArchive, tmp_path: Path) -> None:
    body = tiny_fits(1)
    archive.add(
        Held("b.fits", body, BEFORE_MJD, half_deg=0.05),
        Held("r.fits", body, AFTER_MJD, half_deg=0.05, filter_text="r"),
        Held("eve.fits", body, DISCOVERED_MJD - 3, half_deg=0.05),
        Held("edge.fits", body, AFTER_MJD, half_deg=0.05, ra=150.05),
        Held("odd.fits", body, AFTER_MJD, half_deg=0.05, filter_text="open"),
    )

    plan = planned(archive, tmp_path)

    assert plan.pairs == ()
    assert {one.image: one.reason for one in plan.left_out} == {
        "b.fits": "is of g, and after there is only r",
        "r.fits": "is of r, and before there is only g",
        "eve.fits": "was taken 3.0 days before the discovery, not 30 to 1500 days",
        "edge.fits": "holds 50% of the 30 arcsec around the transient",
        "odd.fits": "its filter 'open' is not understood",
    }


def test_the_best_pairs_come_first(archive: VoArchive, tmp_path: Path) -> None:
    body = tiny_fits(1)
    archive.add(
        Held("old.fits", body, BEFORE_MJD - 100, half_deg=0.05),
        Held("near.fits", body, BEFORE_MJD, half_deg=0.05),
        Held("aside.fits", body, BEFORE_MJD + 1, half_deg=0.05, ra=150.01),
        Held("soon.fits", body, AFTER_MJD, half_deg=0.05),
        Held("later.fits", body, AFTER_MJD + 5, half_deg=0.05),
    )

    plan = planned(archive, tmp_path, pairs={"per_transient": 3})

    named = [(pair.rank, pair.before.product.name, pair.after.product.name) for pair in plan.pairs]
    assert named == [
        (1, "near.fits", "soon.fits"),
        (2, "old.fits", "soon.fits"),
        (3, "near.fits", "later.fits"),
    ]
    assert reasons(plan.left_out) == {"aside.fits": "outranked"}
    assert [len(files) for files in plan.by_night.values()] == [1, 1, 1, 1]


def test_margins_are_the_survey_s(archive: VoArchive, tmp_path: Path) -> None:
    body = tiny_fits(1)
    archive.add(
        Held("b.fits", body, DISCOVERED_MJD - 3, half_deg=0.05),
        Held("a.fits", body, DISCOVERED_MJD + 90, half_deg=0.05, ra=150.04),
    )
    wide = {"before_days": [1, 10], "after_days": [50, 100], "min_overlap": 0.4}

    assert planned(archive, tmp_path).pairs == ()
    [pair] = planned(archive, tmp_path, pairs=wide).pairs
    assert pair.overlap == pytest.approx(0.6, abs=0.01)
    few = planned(archive, tmp_path, pairs=wide | {"min_overlap": 0.7})
    assert reasons(few.left_out) == dict.fromkeys(("a.fits", "b.fits"), "partial overlap")
    assert "shares 60% of the sky with the best image" in few.left_out[0].reason


def test_a_survey_s_own_filter_names_are_read(archive: VoArchive, tmp_path: Path) -> None:
    body = tiny_fits(1)
    archive.add(
        Held("b.fits", body, BEFORE_MJD, half_deg=0.05, filter_text="58"),
        Held("a.fits", body, AFTER_MJD, half_deg=0.05, filter_text="Cousins I"),
    )
    aliases = {"filter_band": {"keywords": ["FILTER"], "aliases": {"58": "I"}}}

    assert planned(archive, tmp_path).pairs == ()
    [pair] = planned(archive, tmp_path, keywords=aliases).pairs
    assert pair.band == "I"


def test_images_of_sia1_hold_the_circle_in_them(archive: VoArchive, tmp_path: Path) -> None:
    """How they are turned is not told, so that their corners may be anybody's sky."""
    body = tiny_fits(1)
    archive.add(
        Held("b.fits", body, BEFORE_MJD, half_deg=0.05),
        Held("a.fits", body, AFTER_MJD, half_deg=0.05, ra=150.01),
        Held("corner.fits", body, AFTER_MJD - 1, half_deg=0.05, ra=150.04, dec=2.04),
    )

    plan = planned(archive, tmp_path, protocol="sia1")

    [pair] = plan.pairs
    assert (pair.before.product.name, pair.after.product.name) == ("b.fits", "a.fits")
    assert reasons(plan.left_out) == {"corner.fits": "partial overlap"}
    archive.add(Held("nowhere.fits", body, AFTER_MJD, half_deg=0.05, is_placed=False))
    assert set(reasons(planned(archive, tmp_path, protocol="sia1").left_out).values()) == {
        "unknown place"
    }


def test_links_are_followed_for_what_is_chosen_alone(archive: VoArchive, tmp_path: Path) -> None:
    body = tiny_fits(1)
    archive.add(
        Held("b.fits", body, BEFORE_MJD, half_deg=0.05, is_linked=True),
        Held("a.fits", body, AFTER_MJD, half_deg=0.05, is_linked=True),
        Held("c.fits", body, AFTER_MJD + 3, half_deg=0.05, is_linked=True),
    )

    plan = planned(archive, tmp_path)

    assert [image.product.url for image in plan.images] == [
        archive.server.url("/files/b.fits"),
        archive.server.url("/files/a.fits"),
    ]
    asked = {one.path for one in archive.server.log if "datalink" in one.path}
    assert asked == {"/datalink/a.fits", "/datalink/b.fits"}


def test_transients_that_share_an_image_share_a_field(archive: VoArchive, tmp_path: Path) -> None:
    body = tiny_fits(1)
    archive.add(
        Held("b.fits", body, BEFORE_MJD, half_deg=0.2),
        Held("a1.fits", body, AFTER_MJD, half_deg=0.05),
        Held("a2.fits", body, AFTER_MJD, half_deg=0.05, ra=150.15),
    )
    text = ONE + "sn2,150.15,2,2025-09-05\nfar,10,2,2025-09-05\n"

    plan = planned(archive, tmp_path, text)

    assert len(plan.pairs) == 2
    assert {image.product.field for image in plan.images} == {"sn"}
    assert [(one.transient, one.why.value) for one in plan.left_out] == [("far", "nothing listed")]


def test_pairs_are_found_at_mast_too(archive: VoArchive, tmp_path: Path) -> None:
    portal = MastPortal(archive.server)
    region = "POLYGON ICRS 149.95 1.95 150.05 1.95 150.05 2.05 149.95 2.05"
    for number, (mjd, filters, facts) in enumerate(
        [
            (BEFORE_MJD, "F814W;CLEAR2L", {}),
            (AFTER_MJD, "F814W", {}),
            (AFTER_MJD - 1, "F606W;CLEAR2L", {}),
            (AFTER_MJD - 2, "F814W", {"s_region": f"{region} {region}"}),
            (AFTER_MJD - 3, "F814W", {"s_region": f"{region} 150 2"}),
        ]
    ):
        shown = observation(str(number), mjd, filters=filters, **({"s_region": region} | facts))
        body = tiny_fits(number)
        portal.add(shown, {f"h{number}_drc.fits": body, f"h{number}_flt.fits": body})
    config = SurveyConfig.model_validate(
        {
            "name": "hst",
            "adapter": "mast",
            "references": {"name": "none"},
            "archive": options(archive.server, tmp_path, attempts=1).model_dump(mode="json"),
            "mast": {
                "url": archive.server.url(),
                "collections": ["HST"],
                "instruments": ["ACS/WFC"],
                "dates": DATES,
                "product_groups": ["DRC"],
            },
        }
    )
    catalogue = tmp_path / "catalogue.csv"
    catalogue.write_text(ONE)

    plan = plan_of(config, catalogue)

    [pair] = plan.pairs
    names = (pair.before.product.name, pair.after.product.name)
    assert names == ("HST/product/h0_drc.fits", "HST/product/h1_drc.fits")
    assert (pair.band, pair.instrument) == ("F814W", "ACS/WFC")
    assert reasons(plan.left_out) == {
        "obsid 2": "cross-filter",
        "obsid 3": "unknown place",
        "obsid 4": "unknown place",
    }


def test_an_archive_that_is_out_makes_no_plan(archive: VoArchive, tmp_path: Path) -> None:
    archive.server.always("/sia2", status(503))

    with pytest.raises(SurveyUnavailableError, match="Survey 'remote'"):
        planned(archive, tmp_path)


def test_an_adapter_without_footprints_is_refused() -> None:
    config = SurveyConfig.model_validate(
        {"name": "sim", "adapter": "simulated", "references": {"name": "none"}}
    )

    with pytest.raises(ConfigurationError, match=r"cannot be searched for pairs.*adapter 'ivoa'"):
        listing_dates(config)


# --- catalogues ---------------------------------------------------------------------------------


def read(folder: Path, text: str) -> tuple[list[Transient], list[str]]:
    path = folder / "c.csv"
    path.write_text(text)
    found, rejected = read_transients(path)
    return found, [one.reason for one in rejected]


def test_rows_are_read_in_degrees_or_hours(tmp_path: Path) -> None:
    text = (
        "Type,Discovery_Date,DEC,RA,Name\n"
        "Ia,2025-09-05T06:00:00+02:00,-2.5,150.25,a\n"
        "II,2025-09-05,+02:30:00,10:00:00,b\n"
    )

    found, rejected = read(tmp_path, text)

    assert rejected == []
    assert [(one.name, one.ra, one.dec) for one in found] == [
        ("a", 150.25, -2.5),
        ("b", pytest.approx(150.0), pytest.approx(2.5)),
    ]
    assert found[0].discovered == dt.datetime(2025, 9, 5, 4, tzinfo=dt.UTC)
    assert found[1].discovered == dt.datetime(2025, 9, 5, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("x,360,0,2025-01-01", "no right ascension"),
        ("x,nan,0,2025-01-01", "no right ascension"),
        ("x,,0,2025-01-01", "no right ascension"),
        ("x,1,-90.1,2025-01-01", "no declination"),
        ("x,1,1,01/02/2025", "no ISO date"),
        ("x,1,1", "no ISO date"),
        ("x,1,1,2100-01-01", "has not come yet"),
        ("x,1,1,2999-01-01", "no date of an observation"),
        ("x,1,1,0001-01-01T00:00:00+14:00", "no date of an observation"),
        ("x,1:99:99,1,2025-01-01", "no right ascension"),
    ],
)
def test_rows_that_cannot_be_read_are_told(tmp_path: Path, row: str, words: str) -> None:
    found, [reason] = read(tmp_path, f"{HEADER}{row}\n")
    assert found == []
    assert words in reason


@settings(max_examples=60, deadline=None)
@given(row=st.lists(st.text(max_size=30) | st.sampled_from(["1", "10:0:0", "2025-01-01"])))
def test_no_row_raises_anything(tmp_path_factory: pytest.TempPathFactory, row: list[str]) -> None:
    path = tmp_path_factory.mktemp("csv") / "c.csv"
    with path.open("w", encoding="utf-8", errors="replace", newline="") as stream:
        csv.writer(stream).writerows([COLUMNS, row])
    found, _ = read_transients(path)
    for one in found:
        assert one.name.isprintable()


def test_a_large_catalogue_is_read_in_seconds(tmp_path: Path) -> None:
    """Each row was compared with all before it on the sky: three thousand took minutes."""
    lines = [f"t{i},{i % 360}.5,{i // 360 - 14},2025-01-01" for i in range(3000)]
    begun = time.process_time()
    found, rejected = read(
        tmp_path, HEADER + "\n".join([*lines[:-1], "twin,0.5,-14.0001,2025-01-01"])
    )
    assert time.process_time() - begun < 10
    assert (len(found), rejected) == (2999, ["is t0 of line 2 again"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"name,ra,dec\nx,1,2\n", "has no column discovery_date"),
        (b"", "has no column name, ra, dec, discovery_date"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"name,ra,dec,discovery_date\n" + b"x" * 200_000, "field larger than field limit"),
        (b"name,ra,dec,discovery_date\n" + b"x\n" * 10_001, "more than 10000 rows"),
        (None, "cannot be read"),
    ],
)
def test_files_that_are_no_catalogue_are_refused(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "c.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words):
        read_transients(path)


@pytest.mark.parametrize(
    ("texts", "band"),
    [
        (("g", "g'", "gp", "zg", "ZTF g", "ztf_g", "SDSS G", "PS1-g", "g.00000"), "g"),
        (("g DECam SDSS c0001 4720.0 1520.0", "MegaCam g.MP9401"), "g"),
        (("R", "Rc", "Cousins R", "Bessell_R"), "R"),
        (("F814W", "F814W;CLEAR2L", "WFC3 F814W", "f814w"), "F814W"),
        (("F150LP",), "F150LP"),
        (("Y", "y", "DECam Y"), "y"),
        (("Ks", "K"), "K"),
        (("", "clear", "VR", "gr", "g r", "G", "F606W;F814W", "white", "g-r"), None),
    ],
)
def test_names_of_one_filter_are_one(texts: tuple[str, ...], band: str | None) -> None:
    assert {parse_band(text, {}) for text in texts} == {band}
