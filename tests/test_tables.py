"""Tables and matrices: what was written comes back exactly, what is malformed is named."""

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brainnet import io
from brainnet.io import DataError

SEEDED = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def table(folder, text, name="participants.tsv"):
    """Write a table as raw text."""
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


def test_types_and_missing_values(tmp_path):
    path = table(
        tmp_path,
        "participant_id\tage\tscore\tsite\tcode\tdone\tempty\n"
        "01\t70\t1.5\tA\t007\ttrue\tn/a\n"
        "02\t68\tn/a\tn/a\t008\tfalse\t\n",
    )
    frame = io.load_table(path)
    assert frame["participant_id"].tolist() == ["01", "02"]
    assert frame["age"].dtype == np.int64
    assert frame["score"].dtype == np.float64
    assert np.isnan(frame["score"][1])
    assert frame["site"].isna().tolist() == [False, True]
    assert frame["code"].tolist() == ["007", "008"]
    assert frame["done"].tolist() == [True, False]
    assert frame["empty"].isna().all()


def test_identifiers_stay_text_even_without_leading_zeros(tmp_path):
    frame = io.load_table(table(tmp_path, "participant_id\tname\tsession\n10\t1\t2\n11\t2\t3\n"))
    assert frame.iloc[0].tolist() == ["10", "1", "2"]


def test_byte_order_mark_and_windows_line_ends(tmp_path):
    frame = io.load_table(table(tmp_path, b"\xef\xbb\xbfa\tb\r\n1\t2\r\n"), required=["a"])
    assert frame["a"].tolist() == [1]
    assert frame["b"].tolist() == [2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "empty"),
        (b"\n\n", "the table is empty"),
        (b"a\tb\n1\t2\n3\n", "line 3 has 1 cells, the header 2"),
        (b"a\tb\n1\t2\t3\n", "line 2 has 3 cells"),
        (b"a\tb\n1\t2\n\n3\t4\n", "line 3 has 0 cells"),
        (b"a\tb\ta\n1\t2\t3\n", "columns named twice: a"),
        (b"a\t\n1\t2\n", "a column has no name"),
        (b"a\n\xff\xfe\n", r"not UTF-8 text \(byte 2\)"),
        (b'a\tb\n"1\t2\n', "not a table"),
        (b"age\tsex\n1\t2\n", "no column stage; its columns are age, sex"),
    ],
)
def test_malformed_tables_are_named(tmp_path, text, words):
    path = table(tmp_path, text)
    with pytest.raises(DataError, match=words) as caught:
        io.load_table(path, required=["stage"] if b"age" in text else [])
    assert path.name in str(caught.value)


def test_compressed_tables_are_checked_too(tmp_path):
    frame = pd.DataFrame({"region": ["a", "b"], "value": [0.1, np.nan]})
    path = io.save_table(frame, tmp_path / "samples.tsv.gz")
    assert io.load_table(path).equals(frame)
    assert gzip.decompress(path.read_bytes()) == b"region\tvalue\na\t0.1\nb\tn/a\n"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match="cut"):
        io.load_table(path)


def test_a_header_alone_is_a_table_without_rows(tmp_path):
    frame = io.load_table(table(tmp_path, "a\tb\n"))
    assert frame.shape == (0, 2)
    path = io.save_table(frame, tmp_path / "again.tsv")
    assert path.read_text() == "a\tb\n"


@SEEDED
@given(st.lists(st.floats(width=64), min_size=1, max_size=20))
def test_floats_return_exactly(tmp_path, values):
    path = io.save_table(pd.DataFrame({"x": np.array(values, float)}), tmp_path / "a.tsv")
    np.testing.assert_array_equal(io.load_table(path)["x"].to_numpy(float), values)
    first = path.read_bytes()
    io.save_table(io.load_table(path), path)
    if not all(np.isnan(values)):
        assert path.read_bytes() == first


@SEEDED
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8), min_size=1),
    st.lists(st.sampled_from(["\t", '"', "\n", "x"]), max_size=4),
)
def test_text_returns_exactly_even_with_tabs_and_quotes(tmp_path, cells, marks):
    texts = [f"x{cell}{''.join(marks)}x" for cell in cells]
    path = io.save_table(pd.DataFrame({"name": texts, "n": range(len(texts))}), tmp_path / "a.tsv")
    assert io.load_table(path)["name"].tolist() == texts


@pytest.mark.parametrize("number", ["1e300", "-inf", "inf", "1E-3", ".5", "5.", "+3.25", "-0.0"])
def test_ways_to_write_a_number(tmp_path, number):
    values = io.load_table(table(tmp_path, f"x\n{number}\n0.5\n"))["x"]
    assert values.dtype == np.float64
    assert values[0] == float(number)


@pytest.mark.parametrize(
    "word",
    ["1_000", "0x10", "1,5", "NA", "infinity", "1 2", "٣", "1٣", "1e400", "12345678901234567891"],
)
def test_what_is_no_number_or_would_be_rounded_stays_text(tmp_path, word):
    assert io.load_table(table(tmp_path, f"x\n{word}\n1\n"))["x"].tolist() == [word, "1"]


def test_an_integer_beyond_64_bits_is_not_wrapped(tmp_path):
    values = io.load_table(table(tmp_path, f"x\n{2**70}\n"))["x"]
    assert values[0] == 2.0**70


def test_save_table_refuses_what_would_be_lost(tmp_path):
    named = pd.DataFrame({"a": [1]}, index=pd.Index([3], name="subject"))
    with pytest.raises(ValueError, match="reset_index"):
        io.save_table(named, tmp_path / "a.tsv")
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(ValueError, match="distinct"):
        io.save_table(twice, tmp_path / "a.tsv")
    assert list(tmp_path.iterdir()) == []


def test_matrix_round_trip(tmp_path):
    names = ["1", "n'a", "L-superior frontal"]
    values = np.array([[0, 0.1 + 0.2, np.nan], [0.3, 0, -1e-17], [np.nan, 1 / 3, 0]])
    path = io.save_matrix(values, names, tmp_path / "relmat.tsv")
    frame = io.load_matrix(path)
    np.testing.assert_array_equal(frame.to_numpy(), values)
    assert list(frame.index) == names == list(frame.columns)
    assert path.read_text().splitlines()[0] == "name\t" + "\t".join(names)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name\ta\tb\na\t0\t1\n", "1 rows and 2 columns"),
        ("name\ta\tb\nb\t0\t1\na\t1\t0\n", "same names"),
        ("x\ta\na\t0\n", "'name'"),
        ("name\ta\ta\na\t0\t1\na\t1\t0\n", "same names"),
        ("name\ta\tb\na\t0\tlow\nb\t1\t0\n", "'low' in row 'a'"),
    ],
)
def test_malformed_matrices_are_named(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        io.load_matrix(table(tmp_path, text, "relmat.tsv"))


def test_save_matrix_checks_names(tmp_path):
    with pytest.raises(ValueError, match="square with 3 names"):
        io.save_matrix(np.zeros((2, 2)), ["a", "b", "c"], tmp_path / "a.tsv")
    with pytest.raises(ValueError, match="distinct"):
        io.save_matrix(np.zeros((2, 2)), ["a", "a"], tmp_path / "a.tsv")
