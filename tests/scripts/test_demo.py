# SPDX-License-Identifier: Apache-2.0
"""The demo's command line, as far as it needs no Airflow."""

from __future__ import annotations

from scripts import demo


def test_a_damaged_record_does_not_keep_it_from_stopping(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "FOLDER", tmp_path)
    monkeypatch.setattr("sys.argv", ["demo", "--stop"])
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "running.json").touch()
    assert demo.main() == 0
    assert capsys.readouterr().out == "Nothing was running.\n"


def test_it_says_so_when_something_cannot_be_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "FOLDER", tmp_path)
    monkeypatch.setattr("sys.argv", ["demo", "--stop"])
    (tmp_path / "sandbox" / "running.json").mkdir(parents=True)  # cannot be read
    assert demo.main() == 1
    assert "Cannot stop" in capsys.readouterr().err
    assert "not everything is stopped" in demo._stop_the_rest()
