# SPDX-License-Identifier: Apache-2.0
"""Where Airflow's versions differ for the tests: here, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

AIRFLOW = tuple(int(part) for part in metadata.version("apache-airflow").split(".")[:2])
"""Major and minor number."""
HAS_STATE_STORE = AIRFLOW >= (3, 3)
"""Whether a task keeps something from one look to the next in reschedule mode."""


def needs_airflow(major: int, minor: int, why: str) -> pytest.MarkDecorator:
    """Skip a test on an older Airflow, saying why."""
    return pytest.mark.skipif(
        (major, minor) > AIRFLOW, reason=f"needs Airflow {major}.{minor} or newer: {why}"
    )


def store_dags(folder: Path, *more: Any) -> dict[str, Any]:
    """Parse a folder of DAGs, take ``more`` along, and store all where ``dag.test()`` looks for them."""
    bag = _bag(folder)
    assert bag.import_errors == {}
    for dag in more:
        if AIRFLOW >= (3, 0):
            dag.relative_fileloc = Path(dag.fileloc).name
            bag.bag_dag(dag)
        else:
            bag.bag_dag(dag, root_dag=dag)
    if AIRFLOW >= (3, 2):
        from airflow.dag_processing.dagbag import sync_bag_to_db

        sync_bag_to_db(bag, "dags-folder", None)
    elif AIRFLOW >= (3, 1):
        from airflow.models.dagbag import sync_bag_to_db

        sync_bag_to_db(bag, "dags-folder", None)
    elif AIRFLOW >= (3, 0):
        bag.sync_to_db("dags-folder", None)
    else:
        bag.sync_to_db()
    return dict(bag.dags)


def _bag(folder: Path) -> Any:
    if AIRFLOW >= (3, 0):
        from airflow.dag_processing.bundles.manager import DagBundlesManager

        DagBundlesManager().sync_bundles_to_db()
    if AIRFLOW >= (3, 2):
        from airflow.dag_processing.dagbag import DagBag

        return DagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags-folder")
    from airflow.models.dagbag import DagBag

    return DagBag(dag_folder=folder, include_examples=False)


def run_dag(dag: Any, conf: dict[str, Any] | None = None, logical_date: Any = None) -> Any:
    """Run a DAG to its end in this process and return its run."""
    dates = {"logical_date" if AIRFLOW >= (3, 0) else "execution_date": logical_date} if logical_date else {}
    return dag.test(run_conf=conf or {}, **dates)


def returned(dag_run: Any) -> dict[str, Any]:
    """What each task of a run returned; a mapped task's is a list."""
    from airflow.models.xcom import XCOM_RETURN_KEY
    from airflow.utils.session import create_session

    if AIRFLOW >= (3, 0):
        from airflow.models.xcom import XComModel
    else:
        from airflow.models.xcom import XCom as XComModel

    where = {"run_id": dag_run.run_id, "dag_id": dag_run.dag_id, "key": XCOM_RETURN_KEY}
    found: dict[str, Any] = {}
    with create_session() as session:
        rows = session.query(XComModel).filter_by(**where).order_by(XComModel.map_index)
        for row in rows:
            # 2.11 has read it already.
            value = XComModel.deserialize_value(row) if AIRFLOW >= (3, 0) else row.value
            if row.map_index < 0:
                found[row.task_id] = value
            else:
                found.setdefault(row.task_id, []).append(value)
    return found


def asset_events(session: Any) -> list[tuple[str, Any]]:
    """URI and extra of each event of an asset that Airflow keeps."""
    if AIRFLOW >= (3, 0):
        from airflow.models.asset import AssetEvent

        return [(event.asset.uri, event.extra) for event in session.query(AssetEvent)]
    from airflow.models.dataset import DatasetEvent

    return [(event.dataset.uri, event.extra) for event in session.query(DatasetEvent)]


@contextmanager
def line_to_airflow(comms: Any) -> Iterator[None]:
    """Let what runs inside talk to ``comms``, as to the process that started it; 2.11 has no such line."""
    if AIRFLOW < (3, 0):
        yield
        return
    from airflow.sdk.execution_time.supervisor import set_supervisor_comms

    with set_supervisor_comms(comms):
        yield


def pushed_xcom(message: Any) -> Any:
    """The message itself if it pushes an XCom, else None."""
    if AIRFLOW < (3, 0):
        return None
    from airflow.sdk.execution_time.comms import SetXCom

    return message if isinstance(message, SetXCom) else None


def hook_lineage(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have Airflow collect hook lineage, as it does where a listener reads it; return the collector."""
    if AIRFLOW >= (3, 2):
        from airflow.sdk import lineage

        place = "airflow.sdk.lineage"
    else:
        from airflow.lineage import hook as lineage  # type: ignore[no-redef]

        place = "airflow.lineage.hook"
    collector = lineage.HookLineageCollector()
    monkeypatch.setattr(f"{place}.get_hook_lineage_collector", lambda: collector)
    return collector
