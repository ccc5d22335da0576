# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from hypothesis import settings

# The machine that runs the tests may be busy: no test asserts how fast it is.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
