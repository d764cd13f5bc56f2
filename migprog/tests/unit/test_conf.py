# SPDX-License-Identifier: Apache-2.0
import pytest
from oslo_config import cfg

from migprog import conf, exception


def load(tmp_path, text, *arguments):
    path = tmp_path / "migprog.conf"
    path.write_text(text)
    return conf.load(
        ["--config-file", str(path), *arguments], "migprog-test", conf=cfg.ConfigOpts()
    )


def test_an_empty_file_is_sound(tmp_path):
    config = load(tmp_path, "")
    assert config.compute.poll_interval == 0.5
    assert config.compute.report_interval == 5
    assert config.compute.heartbeat_interval == 30


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("poll_interval = 0", "[compute] poll_interval: "),
        ("poll_interval = 61", "[compute] poll_interval: "),
        ("poll_interval = soon", "[compute] poll_interval: "),
        ("report_interval = -1", "[compute] report_interval: "),
        ("heartbeat_interval = 4000", "[compute] heartbeat_interval: "),
        ("poll_interval = 6", "[compute] report_interval: 5.0 must not be shorter than poll_in"),
        ("heartbeat_interval = 4", "[compute] heartbeat_interval: 4.0 must not be shorter than"),
        ("pol_interval = 1", "[compute] pol_interval: there is no such option"),
        ("libvirt_timeout = 0", "[compute] libvirt_timeout: "),
    ],
)
def test_an_impossible_value_is_refused_by_its_options_name(tmp_path, line, said):
    with pytest.raises(exception.ConfigError) as error:
        load(tmp_path, f"[compute]\n{line}\n")
    assert str(error.value).startswith(said)


@pytest.mark.parametrize("value", ["", "9090", "127.0.0.1", "::1:9090", "127.0.0.1:65536", "a b:1"])
def test_an_address_of_metrics_is_refused_with_its_rule(tmp_path, value):
    with pytest.raises(exception.ConfigError) as error:
        load(tmp_path, f"[conductor]\nmetrics_listen = {value}\n")
    assert str(error.value).startswith(f"[conductor] metrics_listen: {value!r} must be ADDRESS")


def test_a_file_that_is_missing_or_broken_is_named(tmp_path):
    with pytest.raises(exception.ConfigError, match=r"none\.conf"):
        conf.load(["--config-file", "/none.conf"], "migprog-test", conf=cfg.ConfigOpts())
    with pytest.raises(exception.ConfigError, match=r"migprog\.conf"):
        load(tmp_path, "no section, no option\n")


def test_every_option_says_what_it_is():
    for module in conf.GROUPS:
        for opt in module.OPTS:
            assert opt.help and opt.help.endswith("."), opt.name
            if isinstance(opt, cfg.IntOpt | cfg.FloatOpt):
                assert opt.type.min is not None, opt.name
                assert opt.type.max is not None, opt.name


def test_what_can_be_changed_by_sighup(tmp_path):
    config = load(tmp_path, "[compute]\npoll_interval = 1\n")
    (tmp_path / "migprog.conf").write_text("[compute]\npoll_interval = 2\n")
    config.mutate_config_files()
    conf.validate(config)
    assert config.compute.poll_interval == 2
