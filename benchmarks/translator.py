# SPDX-License-Identifier: Apache-2.0
"""What a deferred HttpSensor needs between itself and the service: 404 for as long as a request is processed.

python benchmarks/translator.py PORT SERVICE KEY
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

SESSION = web.AppKey("session", aiohttp.ClientSession)


def application(service: str, key: str) -> web.Application:
    """Make the web application; ``GET /ID`` asks the service once."""

    async def session(app: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(service) as app[SESSION]:
            yield

    async def look(request: web.Request) -> web.Response:
        body = {"key": key, "request_id": request.match_info["id"]}
        async with request.app[SESSION].post("/api/v4/dreambooth/fetch", json=body) as reply:
            answer = await reply.json()
        return web.json_response(answer, status=404 if answer["status"] == "processing" else reply.status)

    app = web.Application()
    app.cleanup_ctx.append(session)
    app.router.add_get("/{id}", look)
    return app


if __name__ == "__main__":
    web.run_app(
        application(*sys.argv[2:]), host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None
    )
