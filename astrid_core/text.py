"""Text from outside as people, terminals and databases can take it."""


def readable(text: str) -> str:
    r"""A text whose characters all print: those that do not are spelled out (``\x1b``).

    Names of files hold any bytes, and messages quote them. Escape sequences command
    terminals, half surrogate pairs cannot be encoded, NUL is no text to PostgreSQL. Ends of
    lines are spelled out too.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )
