# SPDX-License-Identifier: Apache-2.0
"""The command line: what ``migprog`` and ``openstack migration progress`` show of migrations.

Functions of values: ``text``, ``record``, ``fleet``, ``layout``, ``view``, ``events``, ``state``,
``outcome``, ``queries``. ``client`` asks the API, ``feed`` says what is new, ``watch`` follows it,
``screen`` shows it, ``commands`` are both programs' commands.
"""
