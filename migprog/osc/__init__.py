# SPDX-License-Identifier: Apache-2.0
"""The OpenStackClient plug-in: ``openstack migration progress ...``."""
