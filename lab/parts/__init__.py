# SPDX-License-Identifier: Apache-2.0
"""Parts of a deployment that run on this machine: brokers, databases, Keystone, proxies, processes
of ours."""
