"""A task whose process is killed, at any moment, leaves the user's files as they are, and can be taken up again."""

import os
import random

import pytest

from scenarios.kills import killed, told

KILLS = 3
"""Here; `scripts/bench task` has fifty."""


@pytest.mark.skipif(os.name == "nt", reason="processes are killed by their group")
def test_killed_tasks_are_taken_up():
    reports = killed(KILLS, random.Random())
    assert len(reports) == KILLS
    assert told(reports) == ""
