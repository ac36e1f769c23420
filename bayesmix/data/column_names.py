"""What the name of a column hints at: an identifier, a code, a date, a part of a date, a count.

Only whole words hint, and mostly the head of the name: "order_value" is a value, "order_id" an
identifier, and "age_at_visit" an age. Values decide; see ``column_kinds``.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

# Words in names, without accents. Heads of the names of identifiers:
KEYS = {"id", "ids", "pid", "uid", "uuid", "guid", "hhid", "ssn", "identifier", "kennung", "key"}
# Whom or what a table has a row of: identifiers, if the name has no other word.
PERSONS = {"subj", "subject", "patient", "respondent", "participant", "user", "customer", "person"}
PERSONS |= {"student", "employee", "member", "client", "kunde", "kunden", "cliente", "patientin"}
THINGS = {"index", "idx", "row", "rownames", "rowname", "rownum", "obs", "case", "record", "seqno"}
THINGS |= {"account", "order", "household", "invoice", "listing", "ticket", "item", "sample"}
# Heads of the names of numbers that only label.
NUMBERS = {"nr", "no", "num", "number", "nummer", "numero"}
LABELS = NUMBERS | {"serial"}
CODES = {"code", "codes", "codigo", "zip", "zipcode", "postal", "postcode", "plz", "postleitzahl"}
CODES |= {"fips", "geoid", "naics", "sic", "isco"}
PHONES = {"phone", "telephone", "telefon", "telefono", "tel", "fax"}
# Groups whose numbers have no order, and places, of which there are many.
GROUPS = {"type", "race", "group", "class", "category", "treatment", "trt", "arm", "species"}
GROUPS |= {"religion", "occupation", "sex", "gender", "cluster", "marital", "block", "batch"}
GROUPS |= {"status", "geschlecht", "gruppe", "klasse"}
PLACES = {"region", "site", "origin", "country", "state", "district", "county", "municipality"}
PLACES |= {"province", "department", "dept", "school", "hospital", "store", "center", "ward"}
PLACES |= {"city", "town", "ort", "wohnort", "home", "work", "office", "residence", "address"}
PLACES |= {"area", "tract"}
NO_GROUPS = {"home", "work", "office", "residence", "address", "area"}
DATES = {"date", "datum", "timestamp", "datetime", "fecha"}
YEAR = {"year", "years", "yr", "yrs", "jahr", "annee", "ano", "anno"}
# Years of observation, unlike those of birth or construction.
OBSERVED = {"survey", "study", "sample", "sampling", "fiscal", "calendar", "academic", "school"}
OBSERVED |= {"reporting", "report", "data", "observation", "collection", "season", "visit", "tax"}
# Parts of dates and measurements, which are neither ratings nor counts.
MEASURES = YEAR | {"month", "day", "hour", "minute", "second", "week", "weekday", "quarter", "age"}
MEASURES |= {"temp", "temperature", "educ", "education", "schooling", "alter", "edad", "monat"}
MEASURES |= {"yob"}
COUNTED = {"count", "counts", "n", "freq", "frequency", "anzahl", "visits", "children", "kids"}
COUNTED |= {"claims", "calls", "goals", "deaths", "accidents", "events"}
WEIGHTS = {"freq", "frequency", "weights", "wgt", "wght"}
# Numbers of rows within groups by their names, and times that are numbered alike.
COUNTERS = {"counter", "seq", "sequence", "rowid", "observation"}
TIMES = MEASURES | {"time", "times", "t", "wave", "occasion", "visit", "period", "trial", "session"}
TIMES |= {"round", "step", "position", "cycle", "frame", "zeit", "lag"}
# What follows these words only says which: "age at visit", "number of claims".
PREPOSITIONS = {"of", "at", "in", "per", "by", "to", "for", "from", "with", "since", "last", "past"}
PREPOSITIONS |= {"before", "after", "on", "within", "during", "de", "del", "der", "des", "pro"}
GENITIVE = {"of", "de", "del", "der", "des"}
# Heads that come first, of two words: in Romance languages, and in "date birth".
FIRST = DATES | {"id", "numero", "codigo"}
ENDS = ("num", "no", "nr")
# Codes of the census, as in "STATEFP", "TRACTCE" and "countyfips".
CENSUS_CODES = ("fips", "fp", "ce")


@dataclass(frozen=True)
class NameHint:
    """The words of a name, in their order and without accents; those before a preposition lead."""

    words: tuple[str, ...]
    leading: tuple[str, ...]

    @property
    def heads(self) -> set[str]:
        """The last of the leading words, and the first of two that is a head."""
        first = {*self.leading[:1]} & FIRST if len(self.leading) == 2 else set()
        return {*self.leading[-1:], *first}

    def consists_of(self, *words: set[str]) -> bool:
        """Whether the name has words, all of them among these."""
        return bool(self.words) and {*self.words} <= GENITIVE.union(*words)

    @property
    def is_key(self) -> bool:
        """Whether the name is that of an identifier, which may repeat."""
        before = self.leading[-2:-1] if self.heads & (LABELS | CODES) else ()  # "ID number"
        return bool(KEYS & {*self.heads, *before}) or self.consists_of(PERSONS)

    @property
    def is_label(self) -> bool:
        """Whether the name is that of a number that labels, such as "order number"."""
        if self.is_key or self.consists_of(LABELS, THINGS, PERSONS):
            return True
        whole = self.leading == self.words  # unlike "number of claims"
        return bool(self.heads & (LABELS if whole else LABELS - NUMBERS))

    @property
    def is_code(self) -> bool:
        """Whether the name is that of a postal code or of another code without an order."""
        if self.heads & CODES:
            return True
        return bool(CODES.intersection(self.words)) and self.consists_of(CODES, PLACES)

    @property
    def is_phone(self) -> bool:
        """Whether the name is that of a telephone."""
        named = self.consists_of(PHONES, PLACES) and PHONES.intersection(self.words)
        return bool(named or self.heads & PHONES)

    @property
    def is_place(self) -> bool:
        """Whether the name is that of places, such as "county" and "state of birth"."""
        named = PLACES | {"census"}
        return bool(self.heads & (PLACES - NO_GROUPS)) and {*self.leading} <= named

    @property
    def is_group(self) -> bool:
        """Whether the name is that of groups or places."""
        return bool(self.heads & (GROUPS | PLACES - NO_GROUPS))

    @property
    def is_date(self) -> bool:
        """Whether the name is that of dates."""
        return bool(self.heads & DATES)

    @property
    def is_year_of_observation(self) -> bool:
        """Whether the name is that of years, and not of those of an event such as birth."""
        return bool(YEAR.intersection(self.words)) and self.consists_of(YEAR, OBSERVED)

    @property
    def is_count(self) -> bool:
        """Whether the name is that of counts, as also "numbids" and "nvisits"."""
        plain = {word.removeprefix("num").removeprefix("n") for word in self.leading}
        first = NUMBERS.intersection(self.words[:1]) and len(self.words) > 1
        return bool(first or (plain | {*self.leading}) & COUNTED)

    def in_block_with(self, other: NameHint) -> bool:
        """Whether both names say of what their numbers are, such as "web visits", "shop visits".

        They end alike, or begin alike with a word for numbers, as in "num_deals".
        """
        if len(self.words) < 2 or len(other.words) < 2:
            return False
        counted = self.words[0] in NUMBERS | COUNTED and self.words[0] == other.words[0]
        return counted or self.words[-1] == other.words[-1]

    @property
    def is_measure(self) -> bool:
        """Whether leading words, or their singulars, are parts of dates or measurements."""
        singular = {word.removesuffix("s") for word in self.leading}
        return bool((singular | {*self.leading}) & MEASURES)

    @property
    def is_counter(self) -> bool:
        """Whether the name is that of numbers of rows."""
        return self.is_label or bool(self.heads & COUNTERS)

    @property
    def is_time(self) -> bool:
        """Whether the name has a word of time."""
        return bool(TIMES.intersection(self.words))

    @property
    def is_weight(self) -> bool:
        """Whether the name is that of weights of the rows."""
        return self.consists_of(WEIGHTS)


def hint_of(name: str) -> NameHint:
    """Return the hint of a name such as "n_visits", "zipCode" or "patient.ID"."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    found = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", plain)
    words = tuple(part for word in found for part in _parts(word.lower()))
    cut = next((i for i, word in enumerate(words) if i and word in PREPOSITIONS), len(words))
    return NameHint(words, words[:cut])


def _parts(word: str) -> tuple[str, ...]:
    """Return the parts of a word such as "userid", "idcode", "pidnum" and "caseno"."""
    known = PERSONS | THINGS | LABELS | CODES | GROUPS | PLACES | {"cust", "pat", "emp", "hh"}
    if word.endswith("id") and word.removesuffix("id") in known:
        return word.removesuffix("id"), "id"
    if word.startswith("id") and word.removeprefix("id") in known:
        return "id", word.removeprefix("id")
    for end in CENSUS_CODES:
        if word.endswith(end) and word.removesuffix(end) in PLACES:
            return word.removesuffix(end), "code"
    for end in ENDS:
        if word.endswith(end) and word.removesuffix(end) in KEYS | PERSONS | THINGS:
            return word.removesuffix(end), end
    return (word,)
