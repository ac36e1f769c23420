"""Saved models come back equal to the bit; damaged, foreign and newer files give one error."""

import contextlib
import copy
import dataclasses
import errno
import functools
import hashlib
import json
import os
import pickle
import random
import tracemalloc
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pytest
from alike import alike, layout_of
from hypothesis import given, settings
from hypothesis import strategies as st
from saved_models import MODELS, ROWS, any_family, gaussian
from sklearn.mixture import GaussianMixture as SklearnMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typing_extensions import TypeAliasType

import bayesmix as bm
from bayesmix.errors import (
    BayesmixWarning,
    DamagedFileError,
    DegenerateComponentWarning,
    FileAccessError,
    InvalidInputError,
    UnsupportedError,
)
from bayesmix.io import container, save
from bayesmix.io.container import HEADER_BEGINS, PREAMBLE, pack, unpack
from bayesmix.io.records import RECORDS, Reader, Writer, _hints, fits


@functools.cache
def fitted(name):
    return MODELS[name]()


def rows_of(model):
    generator = np.random.default_rng(3)
    rows = model.sample(25, random_state=1)[0]
    if model.result_.family.continuous:
        rows += generator.normal(0, 0.1, rows.shape)
    names = getattr(model, "feature_names_in_", None)
    return rows if names is None else pd.DataFrame(rows, columns=names)


def through_a_file(model, folder):
    path = folder / "model.bayesmix"
    save(model, path)
    return bm.load(path)


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_is_equal_to_the_bit(name, tmp_path):
    model = fitted(name)
    loaded = through_a_file(model, tmp_path)
    assert type(loaded) is type(model)
    assert repr(loaded) == repr(model)
    assert repr(loaded.result_) == repr(model.result_)
    assert alike(loaded.get_params(), model.get_params())
    attributes = vars(model).keys()
    assert vars(loaded).keys() == attributes
    assert [key for key in attributes if not alike(vars(loaded)[key], vars(model)[key])] == []
    rows = rows_of(model)
    for method in ("predict", "predict_proba", "score_samples", "responsibilities"):
        assert np.array_equal(getattr(loaded, method)(rows), getattr(model, method)(rows)), method
    for criterion in ("bic", "aic", "aicc", "icl"):
        assert getattr(loaded, criterion)(rows) == getattr(model, criterion)(rows)
    assert alike(loaded.sample(9, random_state=2), model.sample(9, random_state=2))
    if model.result_.n_rows:
        assert loaded.bic() == model.bic()


@pytest.mark.parametrize("name", MODELS)
def test_the_same_model_gives_the_same_bytes(name, tmp_path):
    model = fitted(name)
    model.save(tmp_path / "one")
    bm.load(tmp_path / "one").save(tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_model_with_events_keeps_them(tmp_path):
    rows = np.vstack([np.random.default_rng(0).normal(0, 1, (60, 2)), np.full((8, 2), 30.0)])
    with pytest.warns(DegenerateComponentWarning):
        model = bm.GaussianMixture(3, random_state=0).fit(rows)
    assert model.result_.events
    loaded = through_a_file(model, tmp_path)
    assert loaded.result_.events == model.result_.events
    assert alike(loaded.result_, model.result_)


def test_names_of_features_are_kept_and_held_to(tmp_path):
    model = fitted("searched")
    loaded = through_a_file(model, tmp_path)
    assert loaded.feature_names_in_.tolist() == ["eruptions", "waiting"]
    assert loaded.feature_names_in_.dtype == object
    X = bm.datasets.load_faithful()
    assert (loaded.predict_proba(X.iloc[:, ::-1]) == loaded.predict_proba(X)).all()
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(X.rename(columns={"waiting": "wait"}))


def test_a_loaded_model_can_be_fitted_again(tmp_path):
    loaded = through_a_file(fitted("em full"), tmp_path)
    again = loaded.fit(ROWS)
    assert np.array_equal(again.means_, fitted("em full").means_)


def test_a_generator_becomes_the_seed_that_was_drawn_from_it(tmp_path):
    model = gaussian(random_state=np.random.default_rng(5), init_params="random")
    loaded = through_a_file(model, tmp_path)
    assert loaded.random_state == model.result_.seed
    assert np.array_equal(loaded.fit(ROWS).means_, model.means_)


def test_a_function_is_not_saved_and_that_is_said(tmp_path):
    model = gaussian(init_params=lambda X, K, generator: np.repeat([0, 1], 35))
    with pytest.warns(BayesmixWarning, match="init_params is a function and is not saved"):
        loaded = through_a_file(model, tmp_path)
    assert loaded.init_params == "kmeans"
    assert np.array_equal(loaded.predict(ROWS), model.predict(ROWS))


class OwnFamily(type(bm.Gaussian())):
    """A family of somebody else."""


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (lambda: bm.GaussianMixture(2), "is not fitted"),
        (lambda: SklearnMixture(2).fit(ROWS), "only GaussianMixture, .* can be saved"),
        (lambda: any_family(ROWS, family=OwnFamily()), "OwnFamily cannot be saved"),
        (lambda: 3, r"got builtins\.int"),
    ],
)
def test_what_cannot_be_saved_is_refused_and_leaves_no_file(model, said, tmp_path):
    with pytest.raises(UnsupportedError, match=said):
        save(model(), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        save(fitted("em full"), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "model")
    save(fitted("em full"), tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert alike(bm.load(tmp_path / "model").means_, fitted("em full").means_)


def test_paths_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="must be in an existing folder"):
        save(fitted("em full"), tmp_path / "no" / "model")
    with pytest.raises(InvalidInputError, match="is a folder"):
        save(fitted("em full"), tmp_path)
    with pytest.raises(FileAccessError, match="does not exist") as problem:
        bm.load(tmp_path / "no")
    assert problem.value.errno == errno.ENOENT
    with pytest.raises(InvalidInputError, match="is a folder"):
        bm.load(tmp_path)
    save(fitted("em full"), tmp_path / "model.bayesmix")
    with pytest.raises(InvalidInputError, match=r"is a folder: .*model\.bayesmix is one$"):
        bm.load(tmp_path)


# Damage


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small saved model and where to put what becomes of it."""
    path = tmp_path_factory.mktemp("damage") / "model"
    save(fitted("vb full"), path)
    return path.read_bytes(), path


def load_bytes(path, content):
    path.write_bytes(content)
    return bm.load(path)


# Where a file may show that it is not as it was saved, in the words of the message.
SHOWN_BY = ("checksum", "is not", "newer bayesmix", "truncated", "lengths", "is empty")


def damaged(path, content):
    """The message for bytes that must not load."""
    with pytest.raises(DamagedFileError) as problem:
        load_bytes(path, content)
    assert str(path) in str(problem.value)
    assert "\n" not in str(problem.value)
    return str(problem.value)


def parts(content, path):
    path.write_bytes(content)
    with open(path, "rb") as stream:
        return unpack(stream)


@settings(max_examples=200)
@given(data=st.data())
def test_flipped_bytes_are_always_noticed(saved, data):
    content, path = saved
    flips = data.draw(
        st.lists(
            st.tuples(st.integers(0, len(content) - 1), st.integers(1, 255)),
            min_size=1,
            max_size=6,
            unique_by=lambda flip: flip[0],
        )
    )
    broken = bytearray(content)
    for place, change in flips:
        broken[place] ^= change
    said = damaged(path, bytes(broken))
    beyond = min(place for place, _ in flips) >= PREAMBLE.size
    assert any(word in said for word in (SHOWN_BY[:1] if beyond else SHOWN_BY))


@pytest.mark.parametrize("place", range(HEADER_BEGINS))
def test_every_flip_in_the_preamble_is_noticed(saved, place):
    content, path = saved
    for bit in range(8):
        broken = bytearray(content)
        broken[place] ^= 1 << bit
        said = damaged(path, bytes(broken))
        assert any(word in said for word in SHOWN_BY)


@settings(max_examples=60)
@given(data=st.data())
def test_any_other_length_is_noticed(saved, data):
    content, path = saved
    length = data.draw(st.integers(0, len(content) - 1))
    said = damaged(path, content[:length])
    assert "truncated" in said or "is empty" in said
    longer = content + data.draw(st.binary(min_size=1, max_size=20))
    assert "lengths do not fit" in damaged(path, longer)


@settings(max_examples=60)
@given(content=st.binary(max_size=200))
def test_other_content_is_no_model(saved, content):
    assert any(word in damaged(saved[1], content) for word in ("is not", "truncated", "is empty"))


def test_a_newer_format_says_what_to_do(saved):
    content, path = saved
    magic, version, *lengths = PREAMBLE.unpack(content[: PREAMBLE.size])
    newer = PREAMBLE.pack(magic, version + 1, *lengths) + content[PREAMBLE.size :]
    assert "newer bayesmix" in damaged(path, newer)
    assert "pip install --upgrade" in damaged(path, newer)


def test_a_pickle_is_named_and_never_opened(saved, tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    assert "a pickle, which bayesmix does not open" in damaged(saved[1], pickle.dumps(Trap()))
    assert not (tmp_path / "sprung").exists()


def test_lengths_that_lie_allocate_nothing(saved):
    content, path = saved
    magic, version, _, header_bytes = PREAMBLE.unpack(content[: PREAMBLE.size])
    for size, header, shown in (
        (2**62, header_bytes, "truncated"),
        (len(content), 2**62, "lengths"),
    ):
        lying = PREAMBLE.pack(magic, version, size, header) + content[PREAMBLE.size :]
        assert shown in damaged(path, lying)


# Files with a valid checksum that no `save` wrote


def resealed(content, path, change):
    """The file with its header changed and sealed again."""
    header, arrays = parts(content, path)
    return pack(change(header), arrays)


def refuse_resealed(saved, change):
    content, path = saved
    return damaged(path, resealed(content, path, change))


def with_shapes(content, change):
    """The file with the sizes of its arrays changed and sealed again."""
    length = PREAMBLE.unpack(content[: PREAMBLE.size])[3]
    header = json.loads(content[HEADER_BEGINS : HEADER_BEGINS + length])
    header["arrays"] = change(header["arrays"])
    return sealed(json.dumps(header).encode(), body_of(content))


def body_of(content):
    return content[HEADER_BEGINS + PREAMBLE.unpack(content[: PREAMBLE.size])[3] :]


def sealed(header, body):
    """A file of any header and body whose lengths and checksum are right."""
    size = HEADER_BEGINS + len(header) + len(body)
    preamble = PREAMBLE.pack(container.MODEL.magic, container.MODEL.version, size, len(header))
    return preamble + hashlib.sha256(preamble + header + body).digest() + header + body


@pytest.mark.parametrize(
    "change",
    [
        lambda shapes: [["<f8", [10**15], [0]], *shapes[1:]],
        lambda shapes: [["<f8", [2**40, 2**40], [0, 1]], *shapes[1:]],
        lambda shapes: [["<f8", [-1], [0]], *shapes[1:]],
        lambda shapes: [["<f8", [True], [0]], *shapes[1:]],
        lambda shapes: [["|O", [1], [0]], *shapes[1:]],
        lambda shapes: [[shapes[0][0], shapes[0][1], [5]], *shapes[1:]],
        lambda shapes: shapes[:-1],
        lambda shapes: [*shapes, ["<f8", [3], [0]]],
        lambda shapes: None,
        lambda shapes: [1, 2],
        lambda shapes: [["<f8", [0, 10**30], [0, 1]], *shapes],
    ],
)
def test_sizes_of_arrays_are_checked_before_any_is_made(saved, change):
    content, path = saved
    assert "is damaged" in damaged(path, with_shapes(content, change))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", MODELS)
def test_numbers_that_cannot_be_are_refused_and_never_answer_nan(name, tmp_path):
    model, path = fitted(name), tmp_path / "model"
    model.save(path)
    header, arrays = parts(path.read_bytes(), path)
    rows = rows_of(model)
    refused = 0
    for i, array in enumerate(arrays):
        for value in (np.nan, -1.0, np.inf) if array.dtype.kind == "f" and array.size else ():
            changed = array.copy(order="K")
            changed.flat[0] = value
            path.write_bytes(pack(header, [*arrays[:i], changed, *arrays[i + 1 :]]))
            try:
                loaded = bm.load(path)
            except DamagedFileError:
                refused += 1
                continue
            assert np.isfinite(loaded.predict_proba(rows)).all()
            assert np.isfinite(loaded.score_samples(rows)).all()
            assert (loaded.weights_ >= 0).all()
    assert refused >= 5


def test_lists_that_would_take_many_times_their_bytes_are_not_read(saved):
    path = saved[1]
    many = b"[" + b"[]," * 300_000 + b"[]]"
    text = b'{"arrays":[],"parameters":{"tol":' + many + b"}}"
    tracemalloc.start()
    try:
        said = damaged(path, sealed(text, b""))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "more than 262,144 lists" in said
    assert most < 6 * len(text)
    with pytest.raises(UnsupportedError, match="use arrays instead of lists"):
        pack({"tol": [[]] * 300_000}, [])


def test_unknown_classes_fields_and_names_are_refused(saved):
    def renamed(header):
        header["class"] = "Pipeline"
        return header

    def foreign_record(header):
        header["result"]["record"] = "Popen"
        return header

    def new_field(header):
        header["result"]["fields"]["shell"] = "rm"
        return header

    def new_parameter(header):
        header["parameters"]["hook"] = "os.system"
        return header

    def other_version(header):
        header["bayesmix"] = "9.9"
        return new_field(header)

    for change in (renamed, foreign_record, new_field, new_parameter):
        assert "unknown to this version" in refuse_resealed(saved, change)
    assert "saved by bayesmix 9.9" in refuse_resealed(saved, other_version)


def test_a_field_that_is_missing_or_of_another_type_is_refused(saved):
    def without(header):
        del header["result"]["fields"]["mixture"]
        return header

    def retyped(header):
        header["result"]["fields"]["trace"] = "none"
        return header

    assert "mixture" in refuse_resealed(saved, without)
    assert "FitResult.trace should be" in refuse_resealed(saved, retyped)


VALUES = (
    None,
    True,
    -1,
    10**30,
    1e308,
    "x",
    [],
    {},
    {"array": 0},
    {"tuple": []},
    [[[]]],
    {"float": "nan"},
)


def places(value, here=()):
    """Every place in a JSON value."""
    yield here
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*here, key))


@pytest.mark.slow
@settings(max_examples=300)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_change_of_the_header_gives_a_model_or_the_error(saved, seed):
    content, path = saved
    draw = random.Random(seed)

    def change(header):
        for _ in range(draw.randint(1, 3)):
            where = draw.choice([place for place in places(header) if place])
            holder = header
            for key in where[:-1]:
                holder = holder[key]
            if draw.random() < 0.3:
                del holder[where[-1]]
            else:
                holder[where[-1]] = copy.deepcopy(draw.choice(VALUES))
        return header

    with contextlib.suppress(DamagedFileError):
        model = load_bytes(path, resealed(content, path, change))
        assert type(model).__name__ == "BayesianGaussianMixture"


@pytest.mark.parametrize("depth", [500, 100_000])
def test_nesting_without_end_is_refused(saved, depth):
    content, path = saved
    body = body_of(content)
    assert "is damaged" in damaged(path, sealed(b"[" * depth + b"]" * depth, body))
    text = f'{{"arrays":[],"parameters":{{"tol":{"[" * depth}{"]" * depth}}}}}'
    assert "is damaged" in damaged(path, sealed(text.encode(), b""))


# Values


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.floats(width=32).map(np.float32),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
)
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ),
    max_leaves=8,
)


@pytest.mark.slow
@settings(max_examples=150)
@given(value=NESTED)
def test_values_come_back_as_they_were(value, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "values"
    writer = Writer()
    content = pack({"value": writer.value(value)}, writer.arrays)
    header, arrays = parts(content, path)
    back = Reader(arrays).value(header["value"])
    assert alike(back, value) or repr(back) == repr(value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24.0).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
        np.arange(12, dtype=">i4").reshape(3, 4)[::2],
        np.broadcast_to(np.float32(3), (2, 2)),
        np.array([True, False]),
        np.array(2.5),
        np.zeros((0, 3)),
        np.array([0.0, -0.0, np.nan, np.inf, 5e-324]),
    ],
)
def test_arrays_come_back_with_their_layout(array, tmp_path):
    back = parts(pack({}, [array]), tmp_path / "file")[1][0]
    native = array.astype(array.dtype.newbyteorder("="))
    assert back.dtype == native.dtype
    assert back.shape == array.shape
    assert back.flags.writeable
    assert np.array_equal(np.signbit(back), np.signbit(native))
    assert np.array_equal(back, native, equal_nan=array.dtype.kind == "f")
    if array.flags.c_contiguous or array.flags.f_contiguous:
        assert layout_of(back) == layout_of(native)


def test_every_record_declares_types_that_can_be_checked():
    for name, record in RECORDS.items():
        assert set(_hints(name)) == {field.name for field in dataclasses.fields(record)}


# Generic aliases as `type Grid[T] = np.ndarray[Any, np.dtype[T]]` makes them: NumPy's NDArray from
# 2.5 on, on Python 3.12 or newer.
SCALAR, KEY, VALUE = TypeVar("SCALAR", bound=np.generic), TypeVar("KEY"), TypeVar("VALUE")
Grid = TypeAliasType("Grid", np.ndarray[Any, np.dtype[SCALAR]], type_params=(SCALAR,))
Swapped = TypeAliasType("Swapped", dict[VALUE, KEY], type_params=(KEY, VALUE))
Itself = TypeAliasType("Itself", VALUE, type_params=(VALUE,))
Wholes = TypeAliasType("Wholes", tuple[int, ...])


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (1, float, True),
        (True, float, False),
        (1.5, int, False),
        (np.float64(1), float, True),
        (None, float | None, True),
        ("a", float | None, False),
        ((1, 2), tuple[int, ...], True),
        ((1, "a"), tuple[int, ...], False),
        ({"a": "b"}, dict[str, str], True),
        ({"a": 1}, dict[str, str], False),
        (np.zeros(2), np.ndarray, True),
        ([0.0], np.ndarray, False),
        (np.zeros(2), Grid[np.float64], True),
        (np.zeros(2), Grid, True),
        ([0.0], Grid[np.float64], False),
        (None, Grid[np.float64] | None, True),
        ("a", Grid[np.float64] | None, False),
        ((np.zeros(1), np.zeros(2)), tuple[Grid[np.float64], ...], True),
        ((np.zeros(1), 2.0), tuple[Grid[np.float64], ...], False),
        ({"a": np.zeros(1)}, Swapped[Grid[np.float64], str], True),
        ({"a": 1}, Swapped[str, str], False),
        ((1, 2), Itself[Wholes], True),
        ((1, "a"), Itself[Wholes], False),
    ],
)
def test_types_of_fields(value, hint, expected):
    assert fits(value, hint) is expected


SEARCHES = {
    "the rule": lambda: bm.select(ROWS, n_components=(1, 2), covariance_type=("full", "diag")),
    "folds": lambda: bm.MixtureSearch(
        bm.GaussianMixture(covariance_type="diag", max_iter=300),
        n_components=(1, 2, 3),
        criterion="cv_1se",
        cv=3,
        random_state=1,
    ).fit(ROWS),
    "a fit that failed": lambda: bm.MixtureSearch(
        n_components=(1, len(ROWS)), random_state=0, prior_over_k={1: 0.5, len(ROWS): 0.5}
    ).fit(ROWS),
}


@pytest.mark.parametrize("kind", SEARCHES)
@pytest.mark.filterwarnings("ignore::bayesmix.errors.SelectionWarning")
def test_a_search_is_saved_with_all_its_candidates(kind, tmp_path):
    search = SEARCHES[kind]()
    search.save(tmp_path / "search")
    loaded = bm.load(tmp_path / "search")
    assert loaded.summary() == search.summary()
    for name in ("results_", "folds_", "restarts_"):
        assert getattr(loaded, name).equals(getattr(search, name)), name
    assert repr(loaded.get_params()) == repr(search.get_params())
    for name in ("best_params_", "best_score_", "best_index_", "criterion_", "cautions_"):
        assert getattr(loaded, name) == getattr(search, name), name
    for one, other in zip(loaded.estimators_, search.estimators_, strict=True):
        assert (one is None) == (other is None)
        if other is not None:
            assert (one.predict_proba(ROWS) == other.predict_proba(ROWS)).all()
    assert (loaded.averaged_.score_samples(ROWS) == search.averaged_.score_samples(ROWS)).all()
    if kind == "the rule":
        assert loaded.k_probabilities_.equals(search.k_probabilities_)


def test_a_search_with_folds_that_could_not_be_fitted_is_saved(tmp_path):
    one, other = np.random.default_rng(2).normal(size=(2, 6))
    search = bm.select(np.column_stack([one, other, one]), (1, 2), criterion="cv")
    assert search.folds_.isna().any(axis=None)
    search.save(tmp_path / "search.bayesmix")
    loaded = bm.load(tmp_path / "search.bayesmix")
    pd.testing.assert_frame_equal(loaded.folds_, search.folds_)


def test_a_search_over_a_range_is_saved_with_its_numbers(tmp_path):
    bm.MixtureSearch(n_components=range(1, 3), random_state=0).fit(ROWS).save(tmp_path / "search")
    assert bm.load(tmp_path / "search").n_components == (1, 2)


def test_what_a_search_cannot_keep_is_said(tmp_path):
    def simplest(result, source):
        return -result.n_parameters

    search = bm.MixtureSearch(n_components=(1, 2), criterion=simplest, random_state=0).fit(ROWS)
    with pytest.warns(BayesmixWarning, match="criterion is a function and is not saved"):
        search.save(tmp_path / "search")
    assert bm.load(tmp_path / "search").results_.equals(search.results_)
    steps = make_pipeline(StandardScaler(), bm.GaussianMixture())
    of_steps = bm.MixtureSearch(steps, n_components=(1, 2), random_state=0).fit(ROWS)
    with pytest.raises(UnsupportedError, match="a search of pipelines cannot be saved"):
        of_steps.save(tmp_path / "steps")
    bare = bm.MixtureSearch(n_components=(1, 2), random_state=0, refit=False).fit(ROWS)
    with pytest.raises(ValueError, match="refit=False kept no fitted model"):
        bare.save(tmp_path / "bare")
    with pytest.raises(ValueError, match="not fitted"):
        bm.MixtureSearch().save(tmp_path / "unfitted")
