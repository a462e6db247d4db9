"""Cells of a CSV file that no spreadsheet takes for a formula.

Source: OWASP, CSV Injection: a cell that begins with = + - @ TAB or CR may be run by the program that opens the file.
"""

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


def cell(value: int | float | str | bool | None) -> str:
    """Return a value as a cell's text. Numbers are untouched, by repr; None is empty; text that could be a formula,
    or that begins with the apostrophe which guards one, gets an apostrophe in front."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return f"'{value}" if value.startswith((*_DANGEROUS, "'", "\n")) else value
