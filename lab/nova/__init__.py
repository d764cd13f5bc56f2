# SPDX-License-Identifier: Apache-2.0
"""A real Nova with two compute hosts on one machine, and migprog beside it: ``tools/nova-lab``.

Keystone, Glance, Placement, Neutron's API, nova-api, nova-conductor and nova-scheduler are the
releases of ``constraints/nova-lab``; the hosts, their libvirtd and the guests are those of
``lab.hosts``, and migprog is installed as its documents say.

One process, the supervisor, owns everything, and ends it when it ends.
"""
