"""What every contract has in common: frozen, strict, no unknown fields, no NaN or infinity."""

import re
import unicodedata
from decimal import Context, Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, StringConstraints


class Contract(BaseModel):
    """A message between parts. Equal messages have equal canonical JSON, and so equal ids."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, strict=True, use_attribute_docstrings=True
    )

    def canonical(self) -> dict[str, Any]:
        """Return the message as plain JSON values with every default spelled out."""
        return self.model_dump(mode="json")


def _clean_symbol(symbol: str) -> str:
    if unicodedata.normalize("NFC", symbol) != symbol:
        raise ValueError("must be in Unicode normal form C")
    if not all(c.isalnum() or c in "_-" for c in symbol):
        raise ValueError("may hold letters, digits, '_' and '-' only: it is a name such as BTCUSDT, not a path")
    return symbol


Symbol = Annotated[
    str,
    StringConstraints(min_length=1, max_length=32),
    AfterValidator(_clean_symbol),
    Field(description="an instrument's name at its venue, as in BTCUSDT", examples=["BTCUSDT"]),
]


_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_LONGEST = 100
_WIDE = Context(prec=200)


def _to_decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError("must be a number, or a decimal number as text")
    if isinstance(value, str) and not (len(value) <= _LONGEST and _DECIMAL.fullmatch(value)):
        raise ValueError("must be a number, or a decimal number as text")
    number = Decimal(repr(value) if isinstance(value, float) else value)
    if not number.is_finite():
        raise ValueError("must be finite")
    if number and not Decimal("1e-18") <= abs(number) <= Decimal("1e30"):
        raise ValueError("must lie between 1e-18 and 1e30")
    if int(number.as_tuple().exponent) < -18 and number != number.quantize(Decimal("1e-18"), context=_WIDE):
        raise ValueError("may have 18 places after the point at most")
    return number


def _plain(number: Decimal) -> str:
    text = format(number, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


Exact = Annotated[
    Decimal,
    BeforeValidator(_to_decimal, json_schema_input_type=float | str),
    PlainSerializer(_plain, return_type=str),
]
"""A decimal number, exact: `0.1` is a tenth. Given as a JSON number or as text, kept as text."""

Rate = Annotated[float, Field(ge=0, lt=1, description="a fraction: 0.001 is 0.1 %"), AfterValidator(abs)]  # -0 is 0
ArtifactId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$"), Field(description="an artifact's id")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$"), Field(description="of the file's bytes")]
RunOrArtifactId = Annotated[
    str,
    StringConstraints(pattern=r"^([0-9a-f]{32}|[0-9a-f]{64})$"),
    Field(description="the task_id of the stage before this one, or the id of its artifact"),
]


def tuple_of_list(value: Any) -> Any:
    """Accept a JSON array where a contract keeps a tuple."""
    return tuple(value) if isinstance(value, list) else value


AsTuple = BeforeValidator(tuple_of_list)
