"""The compiled modules may be blocked on purpose, when built or when run. Only then may a test that sees to them skip."""

import os

import pytest

_WAYS = {"KIT_NO_EXT": "1", "KIT_CPU_EXT": "0"}
_BLOCKED = [f"{name}={value}" for name, value in _WAYS.items() if os.environ.get(name) == value]
unless_blocked = pytest.mark.skipif(bool(_BLOCKED), reason=f"{' '.join(_BLOCKED)} blocks the compiled modules")
