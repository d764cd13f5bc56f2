# SPDX-License-Identifier: Apache-2.0
"""The options of steering, and the check of nova-compute's."""

import pytest
from oslo_config import cfg

from migprog import conf, exception
from migprog.cmd import nova_conf
from migprog.cmd.checks import Warned
from migprog.conf import steering
from migprog.core.steering.nova_schedule import NovaOptions
from migprog.core.steering.requirements import POLICIES, Requirements

S1, S2 = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


def load(tmp_path, text):
    path = tmp_path / "migprog.conf"
    path.write_text(text)
    return conf.load(["--config-file", str(path)], "migprog-test", conf=cfg.ConfigOpts())


def test_without_options_the_gentle_policy_is_advised_for_all(tmp_path):
    config = load(tmp_path, "")
    assert config.steering.mode == "advise"
    policies = steering.read(config)
    assert policies.of("any", "any") == ("gentle", POLICIES["gentle"])
    assert policies.by_name["nova"] == NovaOptions()


def test_requirements_and_mappings_are_read(tmp_path):
    config = load(
        tmp_path,
        "[steering]\npolicy = finish-by-deadline\n"
        "requirements = patience_seconds:60, gentle.may:raise-downtime+abort\n"
        f"policy_by_project = p1:gentle\npolicy_by_server = {S1}:none, {S2.upper()}:nova\n"
        "live_migration_downtime_steps = 3\n",
    )
    policies = steering.read(config)
    name, policy = policies.of("s9", "p1")
    assert name == "gentle" and isinstance(policy, Requirements) and policy.patience_seconds == 60
    assert {each.value for each in policy.may} == {"raise-downtime", "abort"}
    assert policies.of(S1, "p1") == ("none", None)
    assert policies.of(S2, None) == ("nova", NovaOptions(downtime_steps=3))
    assert policies.of("s9", None)[0] == "finish-by-deadline"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("mode = on", "[steering] mode: "),
        ("policy = rough", "[steering] policy: "),
        ("mode = enforce", "[steering] mode: enforce needs [compute] allow_actions = true"),
        (
            "requirements = patience_seconds:1",
            "[steering] requirements: patience_seconds: '1' must be a number from 2 to 86400",
        ),
        ("requirements = rough.may:abort", "[steering] requirements: rough.may: 'rough' must be"),
        ("requirements = may", "[steering] requirements: "),
        ("policy_by_project = p1:rough", "[steering] policy_by_project: p1: 'rough' must be one"),
        (
            f"policy_by_server = {S1}:rough",
            f"[steering] policy_by_server: {S1}: 'rough' must be one of",
        ),
        (
            "policy_by_server = web:none",
            "[steering] policy_by_server: web: must be the UUID of a server, not its name",
        ),
        (
            "policy_by_project = my project:none",
            "[steering] policy_by_project: my project: must be the ID of a project, of 1 to 64",
        ),
        ("live_migration_downtime = 99", "[steering] live_migration_downtime: "),
        ("live_migration_downtime_steps = 2", "[steering] live_migration_downtime_steps: "),
        ("patience = 4", "[steering] patience: there is no such option"),
    ],
)
def test_an_impossible_value_is_refused_with_its_option_and_rule(tmp_path, lines, said):
    with pytest.raises(exception.ConfigError) as error:
        load(tmp_path, f"[steering]\n{lines}\n")
    assert str(error.value).startswith(said)


def test_mode_and_policy_are_read_again_by_a_reload(tmp_path):
    config = load(tmp_path, "[steering]\nmode = advise\n")
    text = "[steering]\nmode = off\npolicy = nova\nrequirements = patience_seconds:60\n"
    tmp_path.joinpath("migprog.conf").write_text(text)
    config.mutate_config_files()
    policies = steering.read(config)
    assert (config.steering.mode, policies.default) == ("off", "nova")
    gentle = policies.by_name["gentle"]
    assert isinstance(gentle, Requirements) and gentle.patience_seconds == 60


def test_enforce_with_actions_is_accepted(tmp_path):
    text = "[steering]\nmode = enforce\n[compute]\nallow_actions = true\n"
    assert load(tmp_path, text).steering.mode == "enforce"


# nova.conf of the same host.


def enforcing(tmp_path, *novas):
    paths = []
    for number, text in enumerate(novas):
        path = tmp_path / f"nova-{number}.conf"
        path.write_text(text)
        paths.append(str(path))
    names = ",".join(paths) or f"{tmp_path}/none.conf"
    return load(
        tmp_path,
        f"[steering]\nmode = enforce\nnova_config_files = {names}\n"
        "[compute]\nallow_actions = true\n",
    )


QUIET = (
    "[libvirt]\nlive_migration_downtime_delay = 43200\nlive_migration_downtime_steps = 3\n"
    "live_migration_completion_timeout = 0\n"
)


def test_nova_is_not_looked_at_unless_steering_acts(tmp_path):
    assert nova_conf.check(load(tmp_path, "")) == "not used: [steering] mode is advise"


def test_a_nova_that_leaves_migrations_to_steering_is_sound(tmp_path):
    assert nova_conf.check(enforcing(tmp_path, QUIET)).endswith("leaves migrations to steering")


def test_novas_defaults_are_warned_of_with_what_to_set(tmp_path):
    with pytest.raises(Warned) as warned:
        nova_conf.check(enforcing(tmp_path, "[libvirt]\nvirt_type = kvm\n"))
    text = str(warned.value)
    assert "[libvirt] live_migration_downtime_delay is 75" in text and "set it to 43200" in text
    assert "live_migration_completion_timeout is 800" in text and "set it to 0" in text


def test_a_later_file_of_novas_prevails(tmp_path):
    later = "[libvirt]\nlive_migration_completion_timeout = 100\n"
    with pytest.raises(Warned, match="live_migration_completion_timeout is 100"):
        nova_conf.check(enforcing(tmp_path, QUIET, later))


def test_a_nova_conf_that_cannot_be_read_is_said_so(tmp_path):
    assert nova_conf.check(enforcing(tmp_path)).startswith("not checked: cannot read ")


@pytest.mark.parametrize(
    "text", ["no section\n", "[libvirt]\nlive_migration_downtime_delay = long\n"]
)
def test_a_broken_nova_conf_is_a_warning_that_names_the_file(tmp_path, text):
    with pytest.raises(Warned, match=r"nova-0\.conf"):
        nova_conf.check(enforcing(tmp_path, text))
