# SPDX-License-Identifier: Apache-2.0
"""All that knows libvirt: its connections, events and values. The rest of the agent is given values
of ours."""
