# SPDX-License-Identifier: Apache-2.0
"""What does an interval cost on this broker and this database?

Simulated hosts (``host.py``, playing recordings, ``stream.py``) in processes of their own
(``fleet.py``) tell real conductors (``conductors.py``) of their migrations, in a virtual host and
a schema made for it (``place.py``). Meanwhile it is read what the API would show
(``observer.py``) and what the processes use (``usage.py``). ``run.py`` is one such test,
``figures.py`` what is made of it, ``limit.py`` the search for the largest fleet.
"""
