# SPDX-License-Identifier: Apache-2.0
"""What the Nova lab decides: figures of a run, differences of documents, what clients saw."""

import pathlib
import re

import pytest

from lab.nova import (
    accuracy,
    check,
    client_view,
    differences,
    doc_commands,
    environments,
    migprog_install,
    service_config,
)
from lab.nova.case_run import Result
from lab.nova.cases import CASES, cost
from lab.nova.client_view import Moment
from lab.nova.differences import Allowed, Difference

TENTHS = [number / 10 for number in range(101)]


def seen(percent=(), nova=(), shown=(), flow=None):
    """Data flow at 10 bytes a second, from second 0 to 10, unless ``flow`` says otherwise."""
    steady = [(at, 1 + at * 10) for at in TENTHS]
    return accuracy.Seen(steady if flow is None else flow, percent, nova, shown)


class TestFigures:
    def test_percentage_that_is_the_share_of_time_is_no_distance_away(self):
        found = accuracy.of(seen(percent=[(at, at * 10) for at in TENTHS]))
        assert found.percent_mean_distance == pytest.approx(0, abs=0.6)
        assert found.data_seconds == 10

    def test_nothing_shown_counts_as_0(self):
        found = accuracy.of(seen())
        assert found.percent_mean_distance == found.nova_mean_distance == 50
        assert found.first_number_after_seconds is found.oldest_figure_seconds is None

    def test_value_is_held_until_the_next(self):
        found = accuracy.of(seen(nova=[(0.0, 0.0), (5.0, 50.0)]))
        assert found.nova_mean_distance == pytest.approx(25, abs=1)

    def test_first_number_is_measured_from_the_first_byte(self):
        flow = [(at, 0) for at in range(3)] + [(at, at) for at in range(3, 14)]
        found = accuracy.of(seen(percent=[(1.0, None), (4.5, 3.0)], flow=flow))
        assert found.first_number_after_seconds == 1.5
        assert found.data_seconds == 10

    def test_largest_decrease_is_returned(self):
        percent = [(1.0, 10.0), (2.0, 40.0), (3.0, 15.0), (4.0, 38.0), (5.0, None)]
        assert accuracy.of(seen(percent=percent)).percent_back == 25
        assert accuracy.of(seen(percent=percent[:2])).percent_back == 0

    def test_age_of_a_figure_is_since_libvirt_last_counted_as_much(self):
        """41 bytes had been moved at second 4: shown at 4.5 and still at 7."""
        found = accuracy.of(seen(shown=[(4.5, 41.0), (7.0, 41.0), (8.0, 80.0)]))
        assert found.oldest_figure_seconds == 3

    def test_figure_of_a_constant_counter_is_not_old(self):
        flow = [(at, min(1 + at * 10, 31)) for at in TENTHS]
        assert accuracy.of(seen(shown=[(9.0, 31.0)], flow=flow)).oldest_figure_seconds == 0

    def test_migration_without_data_has_none(self):
        assert accuracy.of(seen(flow=[(at, 0) for at in range(9)])) is None


def difference(field="status", nova="error", ours="cancelled", case="abort"):
    return Difference(case, "os-migrations", field, nova, ours)


def allowed(rule, field="status", case="*", document="os-migrations"):
    return Allowed(document, field, case, rule, "")


class TestDifferences:
    def test_fields_of_both_documents_are_compared(self):
        found = differences.between("base", "os-migrations", {"a": 1, "b": 2}, {"b": 2, "c": 3})
        assert [(each.field, each.nova, each.ours) for each in found] == [
            ("a", 1, differences.MISSING),
            ("c", differences.MISSING, 3),
        ]

    @pytest.mark.parametrize(
        ("rule", "values"),
        [
            ("any", {}),
            ("ours null", {"ours": None}),
            ("nova null", {"nova": None}),
            ("missing", {"ours": differences.MISSING}),
            ("error -> cancelled", {}),
            ("* -> cancelled", {"nova": "running"}),
            (
                "within 2 s",
                {"nova": "2026-01-01T10:00:00.000000", "ours": "2026-01-01T10:00:01.900000"},
            ),
        ],
    )
    def test_rule_allows(self, rule, values):
        assert differences.undocumented([difference(**values)], [allowed(rule)]) == []

    @pytest.mark.parametrize(
        ("row", "values"),
        [
            (allowed("any", field="uuid"), {}),
            (allowed("any", case="force two"), {}),
            (allowed("any", document="server-migrations"), {}),
            (allowed("ours null"), {}),
            (allowed("nova null"), {}),
            (allowed("missing"), {}),
            (allowed("error -> completed"), {}),
            (allowed("failed -> cancelled"), {}),
            (allowed("within 2 s"), {}),
            (
                allowed("within 2 s"),
                {"nova": "2026-01-01T10:00:00.000000", "ours": "2026-01-01T10:00:03.000000"},
            ),
        ],
    )
    def test_row_does_not_allow(self, row, values):
        found = difference(**values)
        assert differences.undocumented([found], [row]) == [found]

    def test_row_may_be_of_several_cases(self):
        row = allowed("any", case="two abort")
        assert differences.undocumented([difference()], [row]) == []

    def test_rule_that_there_is_not_is_refused(self, tmp_path: pathlib.Path):
        table = tmp_path / "table.csv"
        table.write_text("document,field,case,rule,nova,migprog,reason\n*,id,*,sometimes,,,\n")
        with pytest.raises(ValueError, match="sometimes"):
            differences.read(table)


def moment(before=((1, "a"),), seen=((1, "a"),), after=((1, "a"),)):
    return Moment(0.0, "nginx", before, seen, after)


class TestClients:
    def test_migration_that_nova_lists_before_and_after_is_hidden(self):
        assert client_view.hidden([moment(), hidden := moment(seen=())]) == [hidden]

    def test_migration_that_begins_or_ends_meanwhile_is_not_hidden(self):
        assert client_view.hidden([moment(before=(), seen=()), moment(after=(), seen=())]) == []

    def test_same_migration_by_another_number_is_hidden_and_foreign(self):
        other = moment(seen=((7, "x"),))
        assert client_view.hidden([other]) == client_view.foreign([other], [(1, "a")]) == [other]

    def test_migration_listed_twice_is_foreign(self):
        twice = moment(seen=((1, "a"), (1, "a")))
        assert client_view.foreign([moment(), twice], [(1, "a")]) == [twice]


class TestPages:
    @pytest.fixture
    def page(self, tmp_path):
        (tmp_path / "doc/source").mkdir(parents=True)
        (tmp_path / "doc/source/page.rst").write_text(
            "Users\n=====\n\nOne, with this command::\n\n   create user --password SECRET\n\n"
            "   # again\n   create \\\n     other 'SECRET word'\n\nThen:\n\n"
            ".. code-block:: mysql\n   :name: tables\n\n   CREATE a;\n   CREATE b;\n\nEnd.\n"
        )
        return doc_commands.Page(tmp_path, "page.rst", {"SECRET": "s3cret"})

    def test_commands_after_a_text(self, page):
        assert doc_commands.commands(page.after("One, with")) == [
            ["create", "user", "--password", "s3cret"],
            ["create", "other", "s3cret word"],
        ]

    def test_block_by_its_name_or_language(self, page):
        assert doc_commands.statements(page.named("tables")) == ["CREATE a", "CREATE b"]
        assert page.of_language("mysql") == page.named("tables")

    def test_block_ends_where_its_indentation_does(self, tmp_path):
        (tmp_path / "doc/source").mkdir(parents=True)
        (tmp_path / "doc/source/page.rst").write_text(
            "#. Write:\n\n   .. code-block:: ini\n      :name: file\n\n      [a]\n\n      x = 1\n\n"
            "   That is all.\n"
        )
        page = doc_commands.Page(tmp_path, "page.rst", {})
        assert page.named("file") == page.of_language("ini") == "[a]\n\nx = 1\n"

    def test_output_is_no_command(self):
        assert doc_commands.commands("$ one --now\nThat is said.\n$ two\n") == [
            ["one", "--now"],
            ["two"],
        ]

    @pytest.mark.parametrize("text", ["Nowhere", "End."])
    def test_block_that_is_not_there_is_an_error(self, page, text):
        with pytest.raises(LookupError, match=text):
            page.after(text)


def test_every_block_of_the_manual_is_carried_out():
    page = doc_commands.Page(environments.ROOT, "beside-nova.rst", {})
    assert sorted(page.names()) == sorted(migprog_install.BLOCKS)
    text = (environments.ROOT / "doc/source/beside-nova.rst").read_text()
    # Of the blocks without a name, the last one is the lab's own usage.
    assert text.count("code-block::") == len(migprog_install.BLOCKS) + 1
    assert not re.search(r"(?m)^(?! *\.\. ).*::$", text)


@pytest.mark.parametrize(("role", "extra"), [("controller", "mysql"), ("hypervisor", "libvirt")])
def test_commands_of_the_manual_that_install_are_found(role, extra):
    page = doc_commands.Page(environments.ROOT, "install.rst", {"/opt/migprog": "/venv"})
    assert migprog_install.install_commands(page, role) == [
        ["python3", "-m", "venv", "/venv"],
        ["/venv/bin/pip", "install", f".[{extra}]"],
    ]


def test_table_of_the_manual_can_be_read():
    assert all(row.reason for row in differences.read(check.TABLE))


def test_cases_of_the_table_are_cases_of_the_check():
    named = {case for row in differences.read(check.TABLE) for case in row.case.split()}
    assert named - {"*"} <= CASES.keys()


def test_options_are_added_to_sections():
    sections = {"a": {"x": 1}}
    more = service_config.with_options(sections, ["a.y=2", "b.z=3=4"])
    assert more == {"a": {"x": 1, "y": "2"}, "b": {"z": "3=4"}}
    assert sections == {"a": {"x": 1}}
    with pytest.raises(ValueError, match=r"SECTION\.NAME=VALUE"):
        service_config.with_options({}, ["x=1"])


def test_lines_of_a_log_that_differ_by_chance_are_of_one_kind():
    lines = (
        "2026-11-26 18:20:01.5 77 INFO nova.x [None req-aa1b2c3d-0000-4000-8000-aabbccddeeff"
        " 0123456789abcdef0123456789abcdef - -] took 12.3 seconds",
        "2026-11-26 18:21:01.5 78 INFO nova.x [None req-bb1b2c3d-0000-4000-8000-aabbccddeeff"
        " fedcba9876543210fedcba9876543210 - -] took 9 seconds",
    )
    assert len({cost.kind(line) for line in lines}) == 1
    assert cost.kind(lines[0]) != cost.kind(lines[0].replace("took", "lost"))


def test_one_delayed_migration_is_chance_and_all_delayed_are_not():
    usual = [20.0, 20.1, 20.2, 20.0, 20.1, 20.2]
    assert cost.chance(usual, usual) > 0.4
    assert cost.chance([*usual[1:], 31.0], usual) > 0.1
    assert cost.chance([each + 0.5 for each in usual], usual) < 0.002


@pytest.mark.parametrize(("migrations", "is_due_to_agents"), [(2, False), (5, True), (6, True)])
def test_line_is_due_to_agents_if_nearly_each_migration_with_them_has_it(
    migrations, is_due_to_agents
):
    assert cost._is_no_chance(migrations) == is_due_to_agents


RUN = {"name": "base", "percent_back": 0.0, "oldest_figure_seconds": 10.9}


def test_check_without_a_fault_is_as_documented():
    report = check.report([Result(runs=[RUN], differences=[difference()])], [allowed("any")])
    assert report["runs"] == [RUN]
    assert check.is_as_documented(report)


@pytest.mark.parametrize(
    ("result", "where"),
    [
        (Result(differences=[difference(), difference()]), "undocumented_differences"),
        (Result(false_records=["one"]), "false_records"),
        (Result(missing_records=["one"]), "missing_records"),
        (Result(hidden=[moment(seen=())]), "hidden_from_clients"),
        (Result(foreign=[moment(seen=((7, "x"),))]), "foreign_to_clients"),
        (Result(faults=["one"]), "faults"),
        (Result(runs=[RUN | {"percent_back": 0.5}]), "old_or_falling_figures"),
        (Result(runs=[RUN | {"oldest_figure_seconds": 21.5}]), "old_or_falling_figures"),
    ],
)
def test_check_with_a_fault_is_not_as_documented(result, where):
    report = check.report([Result(), result], [])
    assert len(report[where]) == 1
    assert not check.is_as_documented(report)


def test_run_without_data_has_no_figures_to_be_wrong():
    run = RUN | {"percent_back": None, "oldest_figure_seconds": None}
    assert check.is_as_documented(check.report([Result(runs=[run])], []))
