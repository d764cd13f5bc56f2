# SPDX-License-Identifier: Apache-2.0
"""News of lists in a real uWSGI behind a real Keystone: each user gets the news of the own list."""

import concurrent.futures
import pathlib
import time

import pytest
import requests

from lab.parts import keystone
from lab.parts.keystone import SYSTEM, of_project
from migprog.tests import stores
from migprog.tests.fixtures import migrations
from migprog.tests.functional.test_uwsgi_news import Watcher, uwsgi

pytestmark = pytest.mark.functional

# The role, and the project it is in; None: the system.
_USERS = {
    "nobody": ("load-balancer", "red"),
    "red-reader": ("reader", "red"),
    "blue-reader": ("reader", "blue"),
    "admin-of-red": ("admin", "red"),
    "system-reader": ("reader", None),
}
_LATEST = {"OpenStack-API-Version": "migration-progress latest"}


def test_news_of_each_user_is_the_list_of_that_user(
    keystone_files: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with keystone.serving(keystone_files, keystone_files) as identity:
        identity.new_role("load-balancer")
        projects = {name: identity.new_project(name) for name in ("red", "blue", "service")}
        tokens = {}
        for user, (role, project) in _USERS.items():
            identity.new_user(user, role, project and projects[project])
            tokens[user] = identity.token(user, of_project(project) if project else SYSTEM)
        identity.new_user("migprog", "service", projects["service"])
        identity.new_endpoint("identity", identity.url)
        _compare(tmp_path, identity.authtoken(), tokens, projects)


def _compare(
    directory: pathlib.Path, authtoken: str, tokens: dict[str, str], projects: dict[str, str]
) -> None:
    url = f"sqlite:///{directory / 'migprog.sqlite'}"
    store = stores.ready(url)
    red, blue = (
        migrations.running(number, percent=10, project_id=projects[name])
        for number, name in enumerate(("red", "blue"))
    )
    migrations.store(store, red, blue)
    options = f"news_interval = 0.3\nmax_long_polls = 7\n{authtoken}"
    with (
        uwsgi(directory, url, options, "--enable-threads", "--threads", "8") as (api, _program),
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        watchers = {user: Watcher(api, {"X-Auth-Token": token}) for user, token in tokens.items()}
        for user, watcher in watchers.items():
            assert watcher.ask().status_code == (403 if user == "nobody" else 200), user
        assert Watcher(api).ask().status_code == 401
        del watchers["nobody"]
        blind = pool.submit(watchers["red-reader"].ask, 3)
        seeing = pool.submit(watchers["blue-reader"].follow, 20)
        migrations.store(store, stores.later(blue, percent=20, sampled_at=time.time()))
        seeing.result(60)
        # Who may not see it is not answered because of it.
        news = blind.result(60).json()
        assert (news["migrations"], news["left"], news["whole"]) == ([], [], False)
        for user, watcher in watchers.items():
            watcher.ask()
            answer = requests.get(
                f"{api}/migrations?in_progress=true", headers=_LATEST | watcher.headers, timeout=30
            )
            newest_first = sorted(watcher.records.values(), key=lambda each: -each["id"])
            assert newest_first == answer.json()["migrations"], user
        seen = {user: len(watcher.records) for user, watcher in watchers.items()}
        assert seen == {"red-reader": 1, "blue-reader": 1, "admin-of-red": 2, "system-reader": 2}
    store.close()
