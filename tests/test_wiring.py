"""The wiring: what rooms are handed."""

from app import main


def test_every_id_is_another_and_sorts_by_time_however_many_are_made() -> None:
    fresh = main.ids()

    made = [fresh("evt") for _ in range(1000)]

    assert len(set(made)) == len(made)
    assert [one[:18] for one in made] == sorted(one[:18] for one in made)
    assert {len(one) for one in made} == {len("evt-") + 14 + 12}
