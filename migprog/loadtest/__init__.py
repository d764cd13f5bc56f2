# SPDX-License-Identifier: Apache-2.0
"""Measure what a report interval costs on this broker and this database.

Simulated hosts (``host.py``) play recordings (``stream.py``) in processes of their own
(``fleet.py``) and send the reports to real conductors (``conductors.py``), in a virtual host and a
schema made for the test (``place.py``). Meanwhile ``observer.py`` reads what the API would show,
and ``usage.py`` what the processes use. ``run.py`` is one such test, ``figures.py`` computes its
figures, ``limit.py`` searches for the largest fleet.
"""
