"""A server that is killed amid a task leaves the user's files as they are, and nothing running; the task goes on."""

import os
import random

import pytest

from scenarios.kills import killed, told

KILLS = 6
"""Here; `scripts/bench kill` has fifty."""


@pytest.mark.skipif(os.name == "nt", reason="there is no signal that kills")
def test_killed_tasks_are_taken_up():
    seed = random.randrange(2**32)
    reports = killed(KILLS, random.Random(seed))
    assert len(reports) == KILLS, f"seed {seed}"
    assert told(reports) == "", f"seed {seed}"
