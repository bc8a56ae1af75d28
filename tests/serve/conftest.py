from __future__ import annotations

import sys

import pytest

if sys.platform == "win32":  # pragma: no cover
    pytest.skip("worker processes need a POSIX system", allow_module_level=True)
