"""What a look at the database of runs and models reads, small."""

from __future__ import annotations

from tests.conftest import ROOT

from nanonuclei.config.params import flatten, load_experiment

CHAMPION = """
create table runs (run_uuid text);
create table tags (run_uuid text, key text, value text);
create table params (run_uuid text, key text, value text);
create table logged_models (model_id text, source_run_id text);
create table registered_models (name text);
create table model_versions (name text, version int, current_stage text, run_id text);
create table registered_model_aliases (name text, alias text, version int);
create table model_version_tags (name text, version int, key text, value text);
insert into runs values ('00000000000000000000000000000001'), ('00000000000000000000000000000002'),
    ('00000000000000000000000000000003');
insert into tags values
    ('00000000000000000000000000000003', 'task', 'nuclei'),
    ('00000000000000000000000000000003', 'model.uri', 'models:/m-4567'),
    ('00000000000000000000000000000001', 'task', 'nuclei'),
    ('00000000000000000000000000000002', 'task', 'nanotubes'),
    ('00000000000000000000000000000002', 'model.uri', 'models:/m-0123');
insert into logged_models values ('m-0123', '00000000000000000000000000000002');
insert into registered_models values ('nuclei'), ('nanotubes');
insert into model_versions values
    ('nuclei', 1, 'None', '00000000000000000000000000000001'),
    ('nanotubes', 1, 'None', '00000000000000000000000000000002');
insert into registered_model_aliases values ('nuclei', 'champion', 1);
"""
"""What a look at the registry reads."""
LOGGED = [
    (run, path, str(value))
    for run, task, changed in (
        ("00000000000000000000000000000002", "nanotubes", {"a.setting.of.old": 1}),
        ("00000000000000000000000000000003", "nuclei", {"network.depth": 3, "a.setting.of.old": 1}),
    )
    for path, value in {**flatten(load_experiment(task, path=ROOT / "params.yaml")), **changed}.items()
]
"""Settings of two trainings, as texts, as `tracking.runs.log_settings` logs them."""
