"""Filters as archives spell them, and the band that they mean.

What belongs here: one text to one band. What does not: which filters may be compared, as one
band of two instruments is two transmissions.
"""

import re
from collections.abc import Mapping

_SPACE = re.compile(r"(?<![A-Z0-9])F\d{3,4}(?:LP|W|M|N|X|WH)\d?(?![A-Z0-9])")
"""HST's and JWST's: a wavelength and a width."""
_SEPARATOR = re.compile(r"[\s_.,;:/|()+-]+")
_DETAIL = re.compile(r"[A-Za-z]{0,2}\d+|00+")
"""Serial numbers and wavelengths that stand beside a name: 'g DECam SDSS c0001 4720.0 1520.0'."""
_SLOAN_SYSTEMS = frozenset(
    {
        *("SDSS", "SLOAN", "PS1", "PANSTARRS", "PAN", "STARRS", "GPC1", "ZTF", "DES", "DECAM"),
        *("LSST", "LSSTCAM", "HSC", "SKYMAPPER", "MEGACAM", "MEGAPRIME", "BASS", "ATLAS"),
    }
)
_OTHER_WORDS = frozenset(
    {
        *("JOHNSON", "COUSINS", "BESSELL", "BESSEL", "KRON", "HARRIS", "UBVRI", "2MASS", "MKO"),
        *("FILTER", "BAND", "CLEAR", "CLEAR1L", "CLEAR2L", "CLEAR1S", "CLEAR2S", "CLEARP"),
    }
)
_SLOAN = re.compile(r"([ugrizy])(?:'|p|prime)?")
_NAMED = {
    **{f"z{band}": band for band in "gri"},  # ZTF's zg, zr, zi
    **{band: band for band in "UBVRIJHK"},
    "Ks": "K",
    "Rc": "R",
    "Ic": "I",
    "Y": "y",
}


def parse_band(text: str, aliases: Mapping[str, str]) -> str | None:
    """Band that a filter's name means, as 'g', 'R' or 'F814W'; None where that is not sure.

    Sloan's bands are small letters, Johnson's and Cousins' capital ones: 'r' and 'R' are two
    filters. Two coloured elements in the beam are none of these.

    Parameters
    ----------
    aliases
        Names of a survey's own and the band that each means, as it stands.
    """
    name = text.strip()
    if name in aliases:
        return aliases[name]
    space = set(_SPACE.findall(name.upper()))
    if space:
        return space.pop() if len(space) == 1 else None
    words = [word for word in _SEPARATOR.split(name) if word]
    is_sloan = any(word.upper() in _SLOAN_SYSTEMS for word in words)
    known = _SLOAN_SYSTEMS | _OTHER_WORDS
    left = {w for w in words if w.upper() not in known and not _DETAIL.fullmatch(w)}
    if len(left) != 1:
        return None
    (word,) = left
    match = _SLOAN.fullmatch(word.lower() if is_sloan else word)
    return match[1] if match else _NAMED.get(word)
