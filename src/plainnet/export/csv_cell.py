"""CSV cells that are safe in spreadsheets and terminals."""

import re


def csv_cell(text: str) -> str:
    """Return text that is harmless as a cell of a CSV file; a number is unchanged."""
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda match: ascii(match[0])[1:-1], text)
    if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        return text
    # OWASP advises an apostrophe before a formula. Some spreadsheets end a cell at ; or a tab.
    return re.sub(r'(\A|[;\t\n]"*)(?=[=+\-@\t\n＝＋－＠])', r"\1'", text)
