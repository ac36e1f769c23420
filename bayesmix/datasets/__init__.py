"""Six well-known data sets, small enough to ship with the package.

Azzalini & Bowman 1990; Fisher 1936; Roeder 1990; Gorman, Williams & Fraser 2014; Zucchini,
MacDonald & Langrock 2016; Grün & Leisch 2008. Each call returns a new frame.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "load_earthquakes",
    "load_faithful",
    "load_galaxies",
    "load_iris",
    "load_npreg",
    "load_penguins",
]


def load_earthquakes() -> pd.DataFrame:
    """107 numbers of `earthquakes` of magnitude 7 or more per `year` (the index), 1900 to 2006.

    Source: U.S. Geological Survey, public domain; the copy of Zucchini, MacDonald & Langrock 2016,
    table 1.1.

    Examples
    --------
    >>> from bayesmix.datasets import load_earthquakes
    >>> load_earthquakes().loc[1943, "earthquakes"].item()
    41
    """
    return _read("earthquakes.csv").set_index("year")


def load_faithful() -> pd.DataFrame:
    """272 eruptions of the Old Faithful geyser: `eruptions` and `waiting`, both in minutes.

    `eruptions` is the length of an eruption, `waiting` the time until the next one.
    Source: Azzalini & Bowman 1990, the copy of R's package `datasets`.

    Examples
    --------
    >>> from bayesmix.datasets import load_faithful
    >>> load_faithful().head(2)
       eruptions  waiting
    0        3.6       79
    1        1.8       54
    """
    return _read("faithful.csv")


def load_iris(*, with_species: bool = False) -> pd.DataFrame:
    """150 irises: length and width of sepal and petal, in centimetres.

    The columns are `sepal_length`, `sepal_width`, `petal_length` and `petal_width`, all numeric,
    so that the frame can be fitted as it is. Source: Fisher 1936 (measured by Anderson), the copy
    of R's package `datasets`.

    Parameters
    ----------
    with_species
        Add the categorical column `species`: 50 each of setosa, versicolor and virginica.

    Examples
    --------
    >>> from bayesmix.datasets import load_iris
    >>> load_iris().shape
    (150, 4)
    >>> load_iris(with_species=True)["species"].value_counts().to_dict()
    {'setosa': 50, 'versicolor': 50, 'virginica': 50}
    """
    iris = _read("iris.csv")
    species = iris.pop("species")
    return iris.assign(species=species.astype("category")) if with_species else iris


def load_galaxies() -> pd.DataFrame:
    """82 galaxies of the Corona Borealis region: `velocity`, in kilometres per second, ascending.

    Source: Roeder 1990, the copy of R's package `MASS`. Its 78th value is 26690, which is kept
    because published analyses of the data use it; the corrected figure is 26960.

    Examples
    --------
    >>> from bayesmix.datasets import load_galaxies
    >>> int(load_galaxies()["velocity"].iloc[77])
    26690
    """
    return _read("galaxies.csv")


def load_npreg() -> pd.DataFrame:
    """200 simulated observations of a response `y` that depends on `x` differently in two classes.

    `class` 1 has mean 5x, class 2 has mean 40 - (x - 5)²; the standard deviation is 3. Source:
    Grün & Leisch 2008, the columns `x`, `yn` and `class` of `NPreg` in R's package `flexmix`
    (GPL-2 or later).

    Examples
    --------
    >>> from bayesmix.datasets import load_npreg
    >>> load_npreg()["class"].value_counts().to_dict()
    {1: 100, 2: 100}
    """
    return _read("npreg.csv")


def load_penguins() -> pd.DataFrame:
    """344 penguins of the Palmer Archipelago, with missing values.

    The columns are `species`, `island`, `bill_length_mm`, `bill_depth_mm`, `flipper_length_mm`,
    `body_mass_g`, `sex` and `year`. Source: Gorman, Williams & Fraser 2014, the copy of
    `palmerpenguins` (Horst, Hill & Gorman 2020), in the public domain (CC0).

    Examples
    --------
    >>> from bayesmix.datasets import load_penguins
    >>> load_penguins().isna().sum().loc[["body_mass_g", "sex"]].to_dict()
    {'body_mass_g': 2, 'sex': 11}
    """
    return _read("penguins.csv")


def _read(name: str) -> pd.DataFrame:
    # Imported here, so that only users of the data sets load pandas.
    import pandas as pd

    with files(__name__).joinpath(name).open(encoding="utf-8") as lines:
        return pd.read_csv(lines)
