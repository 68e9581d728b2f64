"""How the tests are shared out between processes, where `scripts/test` starts more than one."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

# How long an example takes says nothing here: two processes share the machine.
settings.register_profile("hearth", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hearth")


class ByFile(LoadScopeScheduling):
    """Tests of one file stay together, for they share what was costly to start; so do all that drive a browser."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "tests/editor" if path.startswith("tests/editor/") else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)
