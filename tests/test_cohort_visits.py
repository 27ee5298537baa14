"""Several visits a participant: the first, and conversion from MCI within a horizon."""

import numpy as np
import pandas as pd
import pytest

from brainnet.cohort import baseline, check_visits, conversion
from brainnet.io import DataError
from brainnet.simulate.cohort import Design, parcellation, simulate_cohort


def _table(**courses: list[tuple[float, object]]) -> pd.DataFrame:
    """Visits of participants, each a list of (years, diagnosis)."""
    return pd.DataFrame(
        [
            {"participant_id": who, "session_id": f"m{int(12 * when)}", "years": when,
             "diagnosis": what}
            for who, visits in courses.items() for when, what in visits
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    "course, group, event, time, why",
    [
        ([(0, "MCI"), (1, "MCI"), (2, "AD")], "pMCI", 1, 2, ""),
        ([(0, "MCI"), (3, "AD")], "pMCI", 1, 3, ""),
        ([(0, "MCI"), (3, "MCI"), (4, "AD")], "sMCI", 1, 4, ""),
        ([(0, "MCI"), (2, "MCI"), (4, "AD")], "n/a", 1, 4, "AD only at 4.0 years, and seen"),
        ([(0, "MCI"), (3, "MCI")], "sMCI", 0, 3, ""),
        ([(0, "MCI"), (2.9, "MCI")], "n/a", 0, 2.9, "seen without AD for 2.9 years"),
        ([(0, "MCI")], "n/a", 0, 0, "seen without AD for 0.0 years"),
        ([(0, "EMCI"), (1, "LMCI"), (5, "LMCI")], "sMCI", 0, 5, ""),
        ([(0, "CN"), (1, "MCI"), (2, "AD")], "n/a", np.nan, np.nan, "CN at first"),
        ([(0, "AD")], "n/a", np.nan, np.nan, "AD at first"),
        ([(0, None), (1, "n/a")], "n/a", np.nan, np.nan, "no diagnosis"),
        ([(0, None), (1, "MCI"), (3, "AD")], "pMCI", 1, 2, ""),
        ([(0, "MCI"), (1, None), (4, "MCI"), (6, None)], "sMCI", 0, 4, ""),
        ([(0, "MCI"), (1, "CN"), (5, "MCI")], "n/a", np.nan, np.nan, "reverted to CN"),
        ([(0, "MCI"), (1, "CN"), (2, "AD")], "pMCI", 1, 2, ""),
        ([(0, "MCI"), (1, "AD"), (2, "MCI")], "n/a", np.nan, np.nan, "AD was taken back"),
    ],
)
def test_groups_by_horizon(course: list, group: str, event: float, time: float, why: str) -> None:
    found = conversion(_table(a=course), horizon=3).iloc[0]
    assert found["group"] == group
    np.testing.assert_equal([found["event"], found["time"]], [event, time])
    assert found["why"].startswith(why)
    assert (found["why"] == "") == (group != "n/a")


def test_reverters_may_count_by_the_plain_rules() -> None:
    table = _table(
        back=[(0, "MCI"), (1, "CN"), (4, "MCI")], taken=[(0, "MCI"), (1, "AD"), (2, "MCI")]
    )
    found = conversion(table, reverters="keep").set_index("participant_id")
    assert found.loc["back", ["group", "event", "time"]].tolist() == ["sMCI", 0.0, 4.0]
    assert found.loc["taken", ["group", "event", "time"]].tolist() == ["pMCI", 1.0, 1.0]


def test_a_longer_horizon_turns_stable_into_progressive_or_unknown() -> None:
    table = _table(late=[(0, "MCI"), (3, "MCI"), (4, "AD")], short=[(0, "MCI"), (3.5, "MCI")])
    assert conversion(table, horizon=3)["group"].tolist() == ["sMCI", "sMCI"]
    assert conversion(table, horizon=4)["group"].tolist() == ["pMCI", "n/a"]


def test_dates_and_rows_that_do_not_stand_together() -> None:
    table = pd.DataFrame(
        {
            "participant_id": ["a", "b", "a", "b"],
            "session_id": ["1", "1", "2", "2"],
            "date": ["2010-06-01", "2015-01-01", "2012-06-01", "2018-01-02"],
            "DX": ["MCI", "MCI", "Dementia", "MCI"],
        }
    )
    found = conversion(table, diagnosis="DX")
    assert found["participant_id"].tolist() == ["a", "b"]
    assert found["group"].tolist() == ["pMCI", "sMCI"]
    np.testing.assert_allclose(found["time"], [2.0, 3.0], atol=0.01)
    assert baseline(table)["date"].tolist() == ["2010-06-01", "2015-01-01"]
    later = check_visits(table.assign(years=[50, 70, 52, 73]).drop(columns="date"))
    assert later["years"].tolist() == [0, 0, 2, 3]


def test_numbers_and_own_labels_are_read_as_the_column_says() -> None:
    table = _table(a=[(0, 2), (2, 3)]).rename(columns={"diagnosis": "DXCURREN"})
    assert conversion(table, diagnosis="DXCURREN")["group"].tolist() == ["pMCI"]
    own = _table(a=[(0, "mild"), (2, "AD")])
    with pytest.raises(DataError, match=r"visits\.tsv, column diagnosis: .*'mild'"):
        conversion(own, path="visits.tsv")
    assert conversion(own, stages={"mild": "MCI"})["group"].tolist() == ["pMCI"]


TABLE = _table(a=[(0, "MCI"), (1, "MCI")], b=[(0, "CN")])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"session_id": ["1", "1", "1"]}, "more than one row for a 1. Keep one row"),
        ({"years": [1.0, 0.0, 0.0]}, "visits that are not later than the one before: a m12. Sort"),
        ({"years": [1.0, 1.0, 0.0]}, "not later than the one before: a m12"),
        ({"years": [0.0, None, 0.0]}, "years that is not a number: a m12. Complete it"),
        ({"years": [0.0, np.inf, 0.0]}, "years that is not a number: a m12"),
        ({"years": ["0", "soon", "0"]}, "years that is not a number: a m12"),
        ({"participant_id": ["a", None, "b"]}, r"lines \[3\] lack a participant or session"),
    ],
)
def test_disorderly_tables_are_refused(change: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        conversion(TABLE.assign(**change))


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match="has no column session_id; it has participant_id"):
        check_visits(TABLE.drop(columns="session_id"))
    with pytest.raises(DataError, match="has no column years or date"):
        check_visits(TABLE.drop(columns="years"))
    with pytest.raises(DataError, match=r"has no column DX; .*Give diagnosis="):
        conversion(TABLE, diagnosis="DX")
    with pytest.raises(DataError, match="date that is not a date as 2019-03-31: a m0"):
        check_visits(TABLE.drop(columns="years").assign(date=["31.3.2019", "2020-01-01", "2020"]))
    with pytest.raises(ValueError, match="horizon must be positive; got 0"):
        conversion(TABLE, horizon=0)
    with pytest.raises(ValueError, match="reverters must be 'exclude' or 'keep'; got 'drop'"):
        conversion(TABLE, reverters="drop")  # type: ignore[arg-type]


def test_the_planted_conversion_of_a_simulated_cohort_is_found() -> None:
    cohort = simulate_cohort(
        120, atlas=parcellation(8), design=Design(n_visits=13, interval=0.5, follow_up=6.0)
    )
    table = pd.DataFrame(
        {
            "participant_id": cohort.participant_id.values,
            "session_id": cohort.session.values,
            "years": cohort.years.values,
            "diagnosis": cohort.stage.values,
        }
    )
    found = conversion(table, horizon=3.0)
    first = cohort.isel(subject=slice(None, None, 13))
    impaired = np.isin(first.stage.values, ["EMCI", "LMCI"])
    truth = np.where(first.conversion_years.values <= 3.0, first.converted.values, 0.0)
    want = np.where(~impaired, "n/a", np.where(truth == 1, "pMCI", "sMCI"))
    np.testing.assert_array_equal(found["group"], want)
    assert (found["group"] == "pMCI").sum() > 5
    event = found["event"].to_numpy() == 1
    late = found["time"].to_numpy()[event] - first.conversion_years.values[event]
    assert ((late >= 0) & (late < 0.5)).all()
    assert (baseline(table)["diagnosis"].to_numpy() == first.stage.values).all()
