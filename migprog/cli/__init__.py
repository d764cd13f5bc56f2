# SPDX-License-Identifier: Apache-2.0
"""The command line: what ``migprog`` and ``openstack migration progress`` show of migrations.

Functions of values: ``text``, ``record``, ``fleet``, ``layout``, ``view``, ``events``, ``state``,
``exit_status``, ``host_wait``, ``queries``, ``post_mortem``, ``request_failure``,
``document_check``. ``client`` asks the API, ``login`` gets it a token, ``measurement_wait`` waits
for measurements. ``feed`` says what is new, ``watch`` follows it, ``screen`` shows it; ``commands``
and ``following`` are both programs' commands.
"""
