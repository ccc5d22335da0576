# SPDX-License-Identifier: Apache-2.0
"""What a user does in Airflow's UI, done over its REST API."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import requests

FINISHED = ("success", "failed")


class AirflowApi:
    """
    A client of one Airflow's REST API.

    :param url: of the API server.
    :param check: called in each waiting loop; raises if there is nothing left to wait for.
    """

    def __init__(
        self, url: str, username: str, password: str, check: Callable[[], None] = lambda: None
    ) -> None:
        self.url = url
        self._login = {"username": username, "password": password}
        self._check = check
        self._session = requests.Session()
        self._session.trust_env = False  # it is this machine: no proxy leads there

    def close(self) -> None:
        """Close the session."""
        self._session.close()

    def get(self, path: str, **params: Any) -> Any:
        """Read ``/api/v2/PATH``."""
        return self._call("GET", path, params=params)

    def health(self) -> dict[str, Any]:
        """What each component says of itself; empty while the API server does not answer."""
        try:
            reply = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=30)
            return dict(reply.json()) if reply.ok else {}
        except (requests.ConnectionError, requests.Timeout, ValueError):
            return {}

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, seconds: float = 60) -> str:
        """Start a run as soon as the DAG is known, unpaused if need be; return the run's id."""
        body = {"logical_date": None, "conf": dict(conf or {})}
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._call("PATCH", f"dags/{dag_id}", json={"is_paused": False})
                return str(self._call("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"])
            except requests.HTTPError as error:
                if error.response.status_code != 404 or time.monotonic() > deadline:
                    errors = self.get("importErrors").get("import_errors", [])
                    raise RuntimeError(f"cannot start {dag_id}: {error}; import errors: {errors}") from error
            self._check()
            time.sleep(0.3)

    def clear(self, dag_id: str, run_id: str, *task_ids: str) -> None:
        """Have every task of a run done again, or those that are named."""
        body: dict[str, Any] = {"dag_run_id": run_id, "dry_run": False, "only_failed": False}
        body |= {"task_ids": task_ids} if task_ids else {"reset_dag_runs": True}
        self._call("POST", f"dags/{dag_id}/clearTaskInstances", json=body)

    def test_connection(self, connection: Mapping[str, Any]) -> dict[str, Any]:
        """Test a connection, as the UI's button does; ``[core] test_connection`` has to allow it."""
        return dict(self._call("POST", "connections/test", json=dict(connection)))

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Mark a task as ``success`` or ``failed``."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        self._call("PATCH", path, json={"new_state": state})

    def set_variable(self, key: str, value: str) -> None:
        """Set one of Airflow's variables."""
        body = {"key": key, "value": value}
        try:
            self._call("PATCH", f"variables/{key}", json=body)
        except requests.HTTPError as error:
            if error.response.status_code != 404:
                raise
            self._call("POST", "variables", json=body)

    def set_connection(self, connection: Mapping[str, Any]) -> None:
        """Save a connection in the metadata database, in place of the one of that name if there is one."""
        path = f"connections/{connection['connection_id']}"
        try:
            self._call("PATCH", path, json=connection)
        except requests.HTTPError as error:
            if error.response.status_code != 404:
                raise
            self._call("POST", "connections", json=connection)

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """The state of each task instance, a mapped one's as ``task_id[0]``."""
        return {_name(each): each["state"] or "none" for each in self.task_instances(dag_id, run_id)}

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run, as the API gives them."""
        return list(self.get(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"])

    def wait_for_task(self, dag_id: str, run_id: str, task: str, state: str, seconds: float = 60) -> None:
        """Wait until a task is in a state; :raises TimeoutError: if it takes too long."""
        self._wait(
            f"{task} to be {state}",
            seconds,
            lambda: self.task_states(dag_id, run_id).get(task) == state,
            lambda: self.task_states(dag_id, run_id),
        )

    def wait_for_run(
        self,
        dag_id: str,
        run_id: str,
        seconds: float = 120,
        watch: Callable[[dict[str, str]], None] = lambda _: None,
    ) -> str:
        """Wait until a run is over and return its state; ``watch`` is shown the task states meanwhile."""
        path = f"dags/{dag_id}/dagRuns/{run_id}"

        def over() -> bool:
            watch(self.task_states(dag_id, run_id))
            return self.get(path)["state"] in FINISHED

        self._wait(f"run {run_id} of {dag_id}", seconds, over, lambda: self.task_states(dag_id, run_id))
        return str(self.get(path)["state"])

    def xcom(
        self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1
    ) -> Any:
        """An XCom's value; None if there is none."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        try:
            return self.get(path, map_index=map_index, deserialize="false")["value"]
        except requests.HTTPError as error:
            if error.response.status_code == 404:
                return None
            raise

    def _wait(self, what: str, seconds: float, done: Callable[[], bool], shown: Callable[[], object]) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            self._check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds:.0f} s for {what}; the tasks: {shown()}")
            time.sleep(0.3)

    def _call(self, method: str, path: str, **kwargs: Any) -> Any:
        if "Authorization" not in self._session.headers:
            reply = self._session.post(f"{self.url}/auth/token", json=self._login, timeout=30)
            reply.raise_for_status()
            self._session.headers["Authorization"] = f"Bearer {reply.json()['access_token']}"
        reply = self._session.request(method, f"{self.url}/api/v2/{path}", timeout=30, **kwargs)
        reply.raise_for_status()
        return reply.json()


def _name(task_instance: Mapping[str, Any]) -> str:
    index = task_instance["map_index"]
    return task_instance["task_id"] if index < 0 else f"{task_instance['task_id']}[{index}]"
