"""What hostile headers say in place of what belongs there."""

NUMBERS = (
    b"NaN", b"Inf", b"-Inf", b"'NaN'", b"'Inf'", b"1e308", b"-1e308", b"1E400", b"1D308",
    b"1e-320", b"0", b"-0.0", b"-1", b"1e-30", b"1e30", b"9" * 19, b"9" * 60, b"0x10", b"1_000",
    b"(1.0, 2.0)", b"T", b"F", b"''", b"", b"--", b"1.0E", b"1e+", b".", b"'1e308 s'", b"1e300000",
    b"2147483648", b"-2147483649", b"9223372036854775808", b"18446744073709551616",
)  # fmt: skip
SIZES = (
    b"0", b"1", b"-1", b"7", b"129", b"999", b"1000", b"32768", b"1000000", b"2147483647",
    b"2147483648", b"4294967296", b"9223372036854775807", b"18446744073709551616", b"9" * 60,
    b"1.5", b"1e9", b"1E400", b"NaN", b"'128'", b"T", b"", b"--1", b"1_0", b"+128",
)  # fmt: skip
DATES = (
    b"9999-12-31T23:59:59.999", b"0001-01-01T00:00:00", b"0000-00-00", b"10000-01-01T00:00:00",
    b"-4713-11-24T12:00:00", b"2025-02-30T00:00:00", b"2016-12-31T23:59:60", b"31/12/99",
    b"9999-12-31T24:00:00", b"2025-09-01T25:61:61", b"2025-09-01T00:00:00+99:99",
    b"2025-09-01T00:00:00-99:99", b"1858-11-17T00:00:00", b"1582-10-10T12:00:00", b"1e308",
    b"99999999999-01-01", b"2025-09-01T", b"2025-09-01T00:00:00.99999999999999999999", b"NaN",
    b"9999-12-31", b"0001-01-01", b"2025-09-01T23:59:59.9999999999Z", b"20250901", b"2025-244",
)  # fmt: skip
TEXTS = (
    b"<script>alert(1)</script>", b'"><img src=x onerror=alert(1)>', b"</td></tr></table><h1>x",
    b"[x](javascript:alert(1))", b"![x](https://evil.example/x.png)", b"{{7*7}}${7*7}<%= 7*7 %>",
    b"'; DROP TABLE observations; --", b"%s%n%d{}{0}", b"../../../../etc/passwd", b"a\0b",
    b"\0\0\0\0\0\0\0\0", b"\x1b[31mred\x1b[0m", b"\r\nSet-Cookie: a=b", b"\x07\x08\x7f",
    b"\xff\xfe",
    "Hα ☃ 😀".encode(), "\u202egnp.exe".encode(), b"|a|b|\n|-|-|", b"`x` *y* ~~z~~ # h", b"con",
    b"A" * 68, b"/" * 68, b"=cmd|' /C calc'!A0", b"&", b"nan", b"None", b"null", b"<!--", b"]]>",
)  # fmt: skip
NAMES = (
    b"<img src=x onerror=alert(1)>.fits", b"a.<script>.fits", b"a\nb.fits", b"x.\x01\x02.fits",
    b"caf\xe9.fits", b"\xff\xfe.fits", "☃ 😀.fits".encode(), b"a" * 245 + b".fits", b"a b%2f..fits",
    b"-rf.fits", b"$(reboot).fits", b"a.\x7f.fits.fz", b"'; DROP TABLE x;--.fits", b"[SCI,1].fits",
    b"a." + b"b" * 240 + b".fits", b"*.fits", b"reference.fits", "\u202estif.fits".encode(),
    b"con.fits", b"a\\b.fits", b"|.fits", b"a..fits", b".hidden.fits", b"dark.fits", b"a.fits.fits",
)  # fmt: skip

COUNTED = ("EXPTIME", "GAIN", "RDNOISE", "SATURATE", "MAGZERO", "MJD-OBS", "BSCALE", "BZERO",
            "BLANK", "BSOFTEN", "BOFFSET", "PIXAR_SR", "EXTVER", "DATAMIN", "DATAMAX")  # fmt: skip
DATED = ("DATE-OBS", "DATE-BEG", "TIME-OBS", "UT", "MJD-OBS", "TIMESYS", "EXPTIME")
SPOKEN = ("OBJECT", "FILTER", "INSTRUME", "DETECTOR", "BUNIT", "IMAGETYP", "EXTNAME", "TELESCOP",
           "FIELD", "BIASSEC", "TRIMSEC", "CTYPE1", "CUNIT1", "RADESYS", "TIMESYS")  # fmt: skip
PLACED = ("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CD1_1", "CD1_2", "CD2_1", "CD2_2", "CDELT1",
           "CDELT2", "CROTA2", "PC1_1", "PC2_2", "LONPOLE", "LATPOLE", "EQUINOX", "PV2_1", "PV1_1",
           "A_ORDER", "B_ORDER", "A_2_0", "B_0_2", "AP_ORDER", "BP_ORDER", "AP_9_0", "A_9_9",
           "WCSAXES", "WCSNAME", "NAXIS3", "CRDER1")  # fmt: skip
PROJECTIONS = (b"RA---TAN", b"RA---TAN-SIP", b"RA---TPV", b"RA---ZEA", b"RA---XXX", b"GLON-CAR",
                b"RA---HPX", b"RA---TSC", b"RA---SZP", b"DEC--TAN", b"FREQ", b"RA---TAB",
                b"RA---TNX", b"RA---ZPX", b"RA---BON", b"RA---CSC")  # fmt: skip
SHAPES = ("BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "PCOUNT", "GCOUNT", "GROUPS",
           "BSCALE", "BZERO", "SIMPLE", "EXTEND")  # fmt: skip
TABLED = ("ZNAXIS", "ZNAXIS1", "ZNAXIS2", "ZTILE1", "ZTILE2", "ZBITPIX", "TFIELDS", "NAXIS1",
           "NAXIS2", "PCOUNT", "THEAP", "ZVAL1", "ZVAL2", "ZBLANK", "ZSCALE", "ZZERO", "ZDITHER0",
           "TZERO1", "TSCAL1", "TNULL1", "GCOUNT", "ZPCOUNT", "ZGCOUNT")  # fmt: skip
FORMS = (b"1PB(99999999)", b"1QB(1)", b"1PI(1)", b"1PJ", b"1PE(4)", b"99999999999B", b"0B", b"QQ",
          b"1PB(-1)", b"1PX(8)", b"1PA(9)", b"2PB(9)", b"1D", b"", b"1PC(1)")  # fmt: skip
SCHEMES = (b"RICE_1", b"GZIP_1", b"GZIP_2", b"HCOMPRESS_1", b"PLIO_1", b"NOCOMPRESS", b"RICE_ONE",
            b"LZ77", b"")  # fmt: skip

SECTIONS = (
    b"[1:128,1:128]", b"[1:2,1:128]", b"[128:1,1:128]", b"[0:0,0:0]", b"[1:129,1:128]",
    b"[-1:5,1:9]", b"[1:4,1:4]", b"[99999999999999999999:1,1:1]", b"[1:128,1:2]",
    b"[2:3,2:3]", b"[*,*]", b"[1:9]",
)  # fmt: skip
