"""E-mail addresses and phone numbers in the hashed form that ad platforms match by.

What comes in is personal; what goes out of here is a hash or null, never the address. A hash of an address is
still personal data (whoever knows the address can make it), so a file of hashes needs the user's permission too.
"""

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Literal

import polars as pl

HashedIdentifier = Literal["email_sha256", "phone_sha256", "phone_digits_sha256"]

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_PHONE_PUNCTUATION = re.compile(r"[ \u00a0\u202f()./\u2010-\u2015-]")
_TRUNK_ZERO = "(0)"
# ITU-T E.164 (11/2010): at most 15 digits, no country code begins with 0. The shortest numbers in use have 7 with it.
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def normalised_email(text: str) -> str | None:
    """The address without blanks around it and in small letters; None where it is no address.

    The rule of Google Customer Match (developers.google.com/google-ads/api/docs/remarketing/audience-segments/
    customer-match/get-started) and of Meta (developers.facebook.com/docs/marketing-api/audiences/guides/
    custom-audiences). Dots and +tags stay: taking them out is a rule of other Google products.
    """
    address = text.strip().lower()
    return address if _EMAIL.fullmatch(address) else None


def normalised_phone(text: str) -> str | None:
    """The number in E.164 form, + and digits; None where that would take a guess.

    Only a number that begins with + tells its country. One without it, or with a national (0) inside, is not
    read: which digits to add or drop depends on the country's plan.
    """
    stripped = text.strip()
    if _TRUNK_ZERO in stripped:
        return None
    number = _PHONE_PUNCTUATION.sub("", stripped)
    return number if _E164.fullmatch(number) else None


def _phone_digits(text: str) -> str | None:
    number = normalised_phone(text)
    return None if number is None else number.removeprefix("+")


_NORMALISED: Mapping[str, Callable[[str], str | None]] = MappingProxyType(
    {"email_sha256": normalised_email, "phone_sha256": normalised_phone, "phone_digits_sha256": _phone_digits}
)


def hashed_addresses(addresses: pl.DataFrame, *, identifier: HashedIdentifier) -> pl.DataFrame:
    """user_id, `identifier` (64 small hex digits; null: no readable address), is_given. The order of `addresses`.

    `addresses`: user_id, email, phone, as supplied. Google hashes a phone number with its + (`phone_sha256`), Meta
    its digits alone (`phone_digits_sha256`).
    """
    given = addresses["email" if identifier == "email_sha256" else "phone"]
    normalise = _NORMALISED[identifier]
    texts = [text if text is not None and text.strip() else None for text in given.to_list()]
    hashes = [_sha256(None if text is None else normalise(text)) for text in texts]
    return pl.DataFrame(
        {"user_id": addresses["user_id"], identifier: hashes, "is_given": [text is not None for text in texts]},
        schema={"user_id": pl.String, identifier: pl.String, "is_given": pl.Boolean},
    )


def _sha256(text: str | None) -> str | None:
    return None if text is None else sha256(text.encode()).hexdigest()
