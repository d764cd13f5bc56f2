# SPDX-License-Identifier: Apache-2.0
"""An action for Watcher's applier: live-migrate a server, and wait by migprog's verdict.

``action`` is what Watcher loads, ``services`` asks Nova and migprog, ``waiting`` decides.
"""
