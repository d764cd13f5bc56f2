# SPDX-License-Identifier: Apache-2.0
"""The page's files as they are served: their sizes, names and origin."""

import re

import pytest

from lab import vendor
from migprog import ui
from migprog.tests.unit.ui import node
from migprog.ui import joined

MOST_BYTES = 60_000
_HASHED = re.compile(r"[A-Za-z]+-[0-9a-f]{18}\.(css|js|mjs|svg)")


@pytest.fixture(scope="module")
def files() -> dict[str, ui.File]:
    return dict(ui.load("keystone", password_login=False))


def test_all_of_it_is_at_most_60_kb_compressed(files: dict[str, ui.File]) -> None:
    sizes = {name: len(file.compressed) for name, file in files.items()}
    assert sum(sizes.values()) <= MOST_BYTES, sizes


def test_each_file_is_named_by_its_hash_and_the_page_names_each(files: dict[str, ui.File]) -> None:
    index = files[""].content.decode()
    named = set(re.findall(r'(?:href|src)="([^"#]+)"', index))
    assert named == set(files) - {""}
    assert all(_HASHED.fullmatch(name) for name in named)


def test_page_has_nothing_inline_and_no_other_host(files: dict[str, ui.File]) -> None:
    index = files[""].content.decode()
    assert "//" not in index
    assert not re.search(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=", index)


def test_page_tells_how_to_sign_in() -> None:
    index = ui.load("keystone", password_login=True)[""].content.decode()
    assert 'data-auth="keystone" data-password-login="true"' in index


def test_joined_module_is_valid(files: dict[str, ui.File]) -> None:
    (app,) = (file for name, file in files.items() if name.startswith("app-"))
    node.run("--check", "--input-type=module", given=app.content.decode())


def test_joined_modules_see_each_other_and_others_stay_imported() -> None:
    modules = {
        "app.mjs": 'import { two as deux } from "./b.mjs";\nimport * as b from "./b.mjs";\n'
        'import x from "./v/x.mjs";\n// Gone.\nconsole.log(deux(), b.two(), typeof x);\n',
        "b.mjs": "const hidden = 2;\nexport function two() {\n  return hidden;\n}\n",
    }
    text = joined.join(modules, "app.mjs", {"v/x.mjs": "x-1.mjs"})
    assert text.startswith('import x from "./x-1.mjs";\n') and "Gone" not in text
    alone = text.replace('import x from "./x-1.mjs";', "const x = 1;")
    assert node.run("--input-type=module", given=alone) == "2 2 number\n"


def test_joined_styles_mean_the_same() -> None:
    sheets = (
        '/* Gone. */\n.a > b,\n.c :is(d, e) { margin: 0 4px; font: 12px "A B"; }\n',
        "@media (max-width: 760px) {\n  .a { grid: minmax(0, 1fr) / calc(1px - 2px); }\n}\n",
    )
    assert joined.join_styles(sheets) == (
        '.a > b,.c :is(d,e){margin:0 4px;font:12px "A B"}'
        "@media (max-width:760px){.a{grid:minmax(0,1fr) / calc(1px - 2px)}}"
    )


@pytest.mark.parametrize(
    ("modules", "said"),
    [
        ({"app.mjs": 'export * from "./b.mjs";\n'}, "in no form that is known"),
        ({"app.mjs": "export default 1;\n"}, "in no form that is known"),
        (
            {
                "app.mjs": 'import { a } from "./b.mjs";\n',
                "b.mjs": 'import { c } from "./app.mjs";\n',
            },
            "app.mjs imports b.mjs imports app.mjs",
        ),
    ],
)
def test_what_cannot_be_joined_is_refused(modules: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        joined.join(modules, "app.mjs", {})


def test_files_of_others_are_as_pinned() -> None:
    assert vendor.differences() == []


def test_each_package_of_others_has_its_licence() -> None:
    for package in vendor.PACKAGES:
        assert any(path.name == "LICENSE" for _name, path, _sha256 in package.paths())
