# SPDX-License-Identifier: Apache-2.0
"""All that calls libvirt: connections, threads and events. The rest of the agent is given values:
job statistics in libvirt's keys, events in its numbers, all else in our terms."""
