# SPDX-License-Identifier: Apache-2.0
import importlib.metadata
import logging
import pathlib
import re
import subprocess
import sys
import threading

import pytest
from oslo_config import cfg
from oslo_context.context import RequestContext

from migprog import conf, exception
from migprog.conf import references, unknown


def load(tmp_path, text, *arguments):
    path = tmp_path / "migprog.conf"
    path.write_text(text)
    return conf.load(
        ["--config-file", str(path), *arguments], "migprog-test", conf=cfg.ConfigOpts()
    )


def test_an_empty_file_is_sound(tmp_path):
    config = load(tmp_path, "")
    assert config.compute.poll_interval == 0.5
    assert config.compute.report_interval == 20
    assert config.compute.heartbeat_interval == 30


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("poll_interval = 0", "[compute] poll_interval: "),
        ("poll_interval = 61", "[compute] poll_interval: "),
        ("poll_interval = soon", "[compute] poll_interval: "),
        ("report_interval = -1", "[compute] report_interval: "),
        ("heartbeat_interval = 4000", "[compute] heartbeat_interval: "),
        ("poll_interval = 21", "[compute] report_interval: 20.0 must not be shorter than poll_in"),
        ("heartbeat_interval = 4", "[compute] heartbeat_interval: 4.0 must not be shorter than"),
        ("pol_interval = 1", "[compute] pol_interval: there is no such option"),
        ("libvirt_timeout = 0", "[compute] libvirt_timeout: "),
        ("measure_windows = 1,61", "[compute] measure_windows: "),
        ("measure_windows = 1,2,3,4,5,6,7,8,9", "[compute] measure_windows: "),
        ("measure_interval = 60", "[compute] measure_interval: 60.0 needs allow_measurements"),
    ],
)
def test_an_impossible_value_is_refused_by_its_options_name(tmp_path, line, said):
    with pytest.raises(exception.ConfigError) as error:
        load(tmp_path, f"[compute]\n{line}\n")
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("bind_port", value) for value in ("http", "-1", "65536", "8_0x")),
        *(("bind_host", value) for value in ("", "[::1]", "1.2.3.999", "a b", "-a")),
    ],
)
@pytest.mark.parametrize("group", ["api", "conductor", "compute"])
def test_address_to_listen_on_is_refused_by_its_options_name(tmp_path, group, option, value):
    for name in (f"metrics_{option}", *([option] if group == "api" else [])):
        with pytest.raises(exception.ConfigError) as error:
            load(tmp_path, f"[{group}]\n{name} = {value}\n")
        assert str(error.value).startswith(f"[{group}] {name}: ")


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


@pytest.mark.parametrize("module", conf.GROUPS, ids=lambda module: module.GROUP.name)
def test_options_that_are_set_in_one_place_are_set_nowhere_else(module):
    def values():
        made = cfg.ConfigOpts()
        module.register_opts(made)
        made([], default_config_files=[], default_config_dirs=[])
        return made, {opt.dest: made[module.GROUP.name][opt.dest] for opt in module.OPTS}

    changed, before = values()
    for name in before:
        changed.set_override(name, None, module.GROUP.name)
    assert not any(changed[module.GROUP.name][name] for name in before)
    assert values()[1] == before


def test_mutable_options_change_by_sighup(tmp_path):
    config = load(tmp_path, "[compute]\npoll_interval = 1\n")
    (tmp_path / "migprog.conf").write_text("[compute]\npoll_interval = 2\n")
    config.mutate_config_files()
    conf.validate(config)
    assert config.compute.poll_interval == 2


def test_error_of_an_impossible_value_names_the_file(tmp_path):
    with pytest.raises(exception.ConfigError) as error:
        load(tmp_path, "[compute]\npoll_interval = 0\n")
    assert str(error.value) == (
        f"[compute] poll_interval: Value for option poll_interval from {tmp_path}/migprog.conf is "
        "not valid: Should be greater than or equal to 0.05"
    )


def test_folder_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(exception.ConfigError, match="/none"):
        conf.load(["--config-dir", "/none"], "migprog-test", conf=cfg.ConfigOpts())


def test_error_of_a_missing_log_folder_names_the_option(tmp_path):
    with pytest.raises(exception.ConfigError) as error:
        load(tmp_path, f"[DEFAULT]\nlog_dir = {tmp_path}/none\n")
    assert str(error.value).startswith("[DEFAULT] log_dir, log_file: ")
    assert f"{tmp_path}/none" in str(error.value)


SHARED = """
[DEFAULT]
debug = false
transport_url = rabbit://x/
rpc_response_timeout = 5
transport_ulr = rabbit://x/
[databse]
connection = x
[database]
connection = sqlite://
max-pool-size = 4
max_pool_sise = 4
[keystone_authtoken]
auth_type = password
auth_url = http://x
project-domain-id = default
memcached_servers = x
passwrd = y
[nova]
auth_type = v3applicationcredential
application_credential_id = x
region_name = x
timeout = 4
username = x
[oslo_messaging_rabbit]
ssl = true
ssl_ca = x
[oslo_policy]
policy_file = x
[oslo_middleware]
enable_proxy_headers_parsing = true
max_request_body_size = 33
[cors]
allowed_origin = x
[healthcheck]
backends = x
"""


def test_names_that_nothing_reads_are_one_warning(tmp_path, capfd):
    load(tmp_path, SHARED)
    (warning,) = capfd.readouterr().err.splitlines()
    assert " WARNING migprog.conf " in warning
    names = warning.rpartition(": ")[2].split(", ")
    assert names == [
        "[DEFAULT] transport_ulr",
        "[databse]",
        "[database] max_pool_sise",
        "[keystone_authtoken] passwrd",
        "[oslo_messaging_rabbit] ssl_ca",
    ]


def test_whole_sample_has_no_name_that_nothing_reads(tmp_path):
    """Each option of the sample, as if it were set."""
    sample = pathlib.Path(__file__).resolve().parents[4] / "etc/migprog/migprog.conf.sample"
    sections: dict[str, dict[str, list[str]]] = {}
    section = None
    for line in sample.read_text().splitlines():
        if named := re.fullmatch(r"\[(\w+)\]", line):
            section = sections.setdefault(named[1], {})
        elif option := re.match(r"#(\w+) = ", line):
            section[option[1]] = ["x"]
    ours: dict[str, set[str]] = {module.GROUP.name: set() for module in conf.GROUPS}
    for name in ("keystone_authtoken", "nova"):
        sections[name].pop("auth_type")
    assert len(sections) > 10
    assert unknown.unknown(sections, ours) == []


def test_group_whose_library_is_not_installed_may_be_other_processes_own(monkeypatch):
    """A hypervisor's environment has no database, and may share the file with a conductor."""
    sections = {"database": {"connection": ["x"]}, "oslo_messaging_rabbit": {"no_such": ["x"]}}
    installed = unknown._points
    monkeypatch.setattr(
        unknown, "_points", lambda name: () if name == "oslo.db" else installed(name)
    )
    assert unknown.unknown(sections, {}) == ["[oslo_messaging_rabbit] no_such"]


def test_whole_documentation_has_no_name_that_nothing_reads():
    """Each option that a page shows with its section, as an operator would copy it."""
    pages = (pathlib.Path(__file__).resolve().parents[4] / "doc/source").glob("*.rst")
    ours = {module.GROUP.name: {opt.dest for opt in module.OPTS} for module in conf.GROUPS}
    shown: dict[str, dict[str, list[str]]] = {}
    for page in pages:
        section = None
        for line in page.read_text().splitlines():
            if named := re.fullmatch(r" +\[(\w+)\]", line):
                section = shown.setdefault(named[1], {})
            elif option := re.match(r" +#? ?(\w+) = ", line):
                if section is not None:
                    section[option[1]] = [line.partition("=")[2].strip()]
            elif not line.startswith(" "):
                section = None if line else section
    # systemd's, and nova.conf's.
    for group in ("Service", "libvirt"):
        shown.pop(group, None)
    assert {"DEFAULT", "api", "oslo_concurrency"} < set(shown)
    assert unknown.unknown(shown, ours) == []


def test_a_folder_as_configuration_file_is_a_line(tmp_path):
    done = _command("manage", "--config-file", str(tmp_path), "db", "version")
    assert done.returncode == 1
    assert done.stderr == f"migprog-manage: {tmp_path}: Is a directory\n"


@pytest.mark.parametrize(
    "command",
    [
        *("api", "compute", "conductor", "loadtest", "manage", "replay", "standalone", "status"),
    ],
)
def test_each_command_prints_the_installed_version(command):
    done = _command(command, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == importlib.metadata.version("migprog")


@pytest.mark.parametrize(
    ("command", "module", "extra"),
    [
        ("compute", "libvirt", "libvirt"),
        ("standalone", "libvirt", "libvirt"),
        ("loadtest", "psutil", "loadtest"),
    ],
)
def test_missing_package_is_a_line_that_says_what_to_install(command, module, extra):
    done = _command(command, "--help", without=module)
    assert done.returncode == 1
    assert done.stderr.startswith(f"migprog-{command}: needs the Python module {module}, ")
    assert done.stderr.endswith(f"pip install 'migprog[{extra}]'\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("driver", "module", "extra"),
    [
        ("mysql+pymysql", "pymysql", "mysql"),
        ("mysql+mysqldb", "MySQLdb", "mysqlclient"),
        ("postgresql+psycopg", "psycopg", "psycopg"),
    ],
)
def test_missing_driver_is_a_line_that_says_what_to_install(tmp_path, driver, module, extra):
    path = tmp_path / "migprog.conf"
    path.write_text(f"[database]\nconnection = {driver}://u:secret@127.0.0.1:1/x\n")
    done = _command("manage", "--config-file", str(path), "db", "version", without=module)
    assert done.returncode == 1
    assert f"[database] connection: no driver for {driver}: " in done.stderr
    assert done.stderr.endswith(f"pip install 'migprog[{extra}]' brings one\n")
    assert "secret" not in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["conductor", "status"])
def test_shell_completion_is_no_traceback(command):
    done = _command(command, "--shell_completion", "bash")
    assert "Traceback" not in done.stderr
    assert not done.stderr or done.stderr.startswith(f"migprog-{command}: --shell_completion: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("default_log_levels = a=LOUD", "[DEFAULT] default_log_levels: Unknown level: 'LOUD'"),
        ("logging_default_format_string = %(none)s", "[DEFAULT] logging_context_format_string, "),
        ("logging_default_format_string = %(message)d", "[DEFAULT] logging_context_format_string"),
        ("logging_context_format_string = %(none)s", "[DEFAULT] logging_context_format_string, "),
    ],
)
def test_error_of_impossible_log_settings_names_the_option(tmp_path, text, said):
    with pytest.raises(exception.ConfigError) as error:
        load(tmp_path, f"[DEFAULT]\n{text}\n")
    assert str(error.value).startswith(said)


def test_a_file_that_is_no_utf_8_is_a_line(tmp_path):
    path = tmp_path / "migprog.conf"
    path.write_bytes(b"[DEFAULT]\n# gr\xfc\xdfe\n")
    with pytest.raises(exception.ConfigError, match=r"^a configuration file must be UTF-8: "):
        conf.load(["--config-file", str(path)], "migprog-test", conf=cfg.ConfigOpts())


@pytest.mark.parametrize("command", ["manage", "conductor", "status"])
def test_a_dollar_sign_in_a_password_is_a_line_without_it(tmp_path, command):
    path = tmp_path / "migprog.conf"
    path.write_text(
        "[DEFAULT]\ntransport_url = rabbit://x:y@127.0.0.1:1/\n"
        "[database]\nconnection = mysql+pymysql://u:x$Ecret@127.0.0.1:1/x\n"
    )
    actions = {
        "manage": ["db", "version"],
        "status": ["upgrade", "check"],
    }
    done = _command(command, "--config-file", str(path), *actions.get(command, []))
    text = " ".join((done.stdout + done.stderr).replace("|", " ").split())
    assert done.returncode in (1, 2)
    assert "[database] connection: $E... must be the name of an option; write $$ for" in text
    assert "Ecret" not in text and "Traceback" not in text


def test_values_may_refer_to_options_that_exist():
    sections = {
        "DEFAULT": {"a": ["$b ${c.d} $$e $1 $"], "b": ["x"]},
        "c": {"d": ["$b $known ${DEFAULT.b}"], "f": ["$g", "x $H"]},
    }
    found = list(references.dangling(sections, lambda group, name: name == "known"))
    assert [each.partition(":")[0] for each in found] == ["[c] f"]


def _command(name, *arguments, without=None):
    """Run a command of ours; ``without`` a module that it then cannot import."""
    hide = f"import sys; sys.modules[{without!r}] = None; " if without else "import sys; "
    program = f"{hide}from migprog.cmd.{name} import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r" \d+ INFO test \[-\] \[porter\] well$"),
        ("logging_default_format_string = %(levelname)s: %(message)s", "^INFO: well$"),
    ],
    ids=["by default", "as an operator sets it"],
)
def test_log_lines_name_their_thread(tmp_path, capfd, text, said):
    load(tmp_path, f"[DEFAULT]\n{text}\n")
    thread = threading.Thread(target=logging.getLogger("test").info, args=("well",), name="porter")
    thread.start()
    thread.join()
    assert re.search(said, capfd.readouterr().err.splitlines()[-1])


def test_log_lines_of_a_request_name_their_thread(tmp_path, capfd):
    load(tmp_path, "")
    context = RequestContext(request_id="req-1", overwrite=False)
    logging.getLogger("test").info("well", extra={"context": context})
    (line,) = capfd.readouterr().err.splitlines()
    assert re.search(r" INFO test \[\S+ req-1 [^]]*\] \[MainThread\] well$", line)
