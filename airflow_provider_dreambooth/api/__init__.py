# SPDX-License-Identifier: Apache-2.0
"""The service as data: what is sent, what comes back, and when to ask again.

Standard library only. Nothing in here opens a socket, reads a clock or sleeps, so the
synchronous and the asynchronous client share every decision and every test of one.
"""

from __future__ import annotations
