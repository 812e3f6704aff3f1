// What is known of a detection, in words.

import { element, number } from "./api.js";

const SITES = [
  ["Aladin", (ra, dec) => `https://aladin.cds.unistra.fr/AladinLite/?target=${ra}%20${dec}&fov=0.05`],
  ["ESASky", (ra, dec) => `https://sky.esa.int/esasky/?target=${ra}%20${dec}&fov=0.05&sci=true`],
  ["SIMBAD", (ra, dec) => `https://simbad.cds.unistra.fr/simbad/sim-coo?Coord=${ra}+${dec}&CooFrame=ICRS&Radius=15&Radius.unit=arcsec`],
  ["TNS", (ra, dec) => `https://www.wis-tns.org/search?ra=${ra}&decl=${dec}&radius=10&coords_unit=arcsec`],
];

/** Words for a name as the database has it. */
export const words = (name) => name.replaceAll("_", " ");

/** Title of an item: where and when, and which way it changed. */
export function title({ survey, observation, is_negative: isNegative }) {
  const { night, field, filter_band: filter } = observation;
  return `${survey} · ${night} · ${field} · ${filter} · ${isNegative ? "fainter" : "brighter"} than the reference`;
}

/** Fill a description list with what was measured of an item. */
export function fillFacts(list, item) {
  const { measured, observation } = item;
  const rows = [];
  if (measured) {
    const unit = measured.flux_unit === "uJy" ? "µJy" : measured.flux_unit;
    rows.push(["S/N", `${number(measured.snr)} (S_corr ${number(measured.scorr_peak)})`]);
    rows.push(["flux", `${number(measured.flux, 4)} ± ${number(measured.flux_err, 2)} ${unit}`]);
    rows.push(["FWHM", `${number(measured.fwhm_pix)} px, PSF of the difference ${number(item.difference_fwhm_pix)}, of the frame ${number(item.frame_fwhm_pix)}`]);
    rows.push(["elongation", number(measured.elongation)]);
  } else {
    rows.push(["FWHM", `PSF of the difference ${number(item.difference_fwhm_pix)} px, of the frame ${number(item.frame_fwhm_pix)}`]);
  }
  const flags = (measured?.flag_names ?? []).map((name) => element("span", { class: "flag" }, words(name)));
  rows.push(["flags", flags.length ? flags : "none"]);
  rows.push(["pixel", `x ${item.x_pix.toFixed(1)}, y ${item.y_pix.toFixed(1)}`]);
  if (item.ra !== null) rows.push(["position", position(item.ra, item.dec)]);
  const when = observation.observation_time?.slice(0, 19).replace("T", " ") ?? "time unknown";
  rows.push(["observed", `${when} UTC, ${number(observation.exposure_s)} s, ${observation.instrument} ${observation.detector}`]);
  list.replaceChildren(
    ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, ...[value].flat())]),
  );
}

function position(ra, dec) {
  const [east, north] = [ra.toFixed(6), dec.toFixed(6)];
  const links = SITES.flatMap(([name, address]) => [
    " ",
    element("a", { href: address(east, north), target: "_blank", rel: "noopener noreferrer" }, name),
  ]);
  return [`${east} ${dec >= 0 ? "+" : ""}${north}° (ICRS)`, ...links];
}
