# SPDX-License-Identifier: Apache-2.0
"""Numbers of libvirt's stable ABI that recordings hold, so that no libvirt is needed to read one.

They are those of libvirt-domain.h and virterror.h; a test compares them with libvirt's own module.
"""

# virDomainEventType, and virDomainEvent*DetailType with it.
SUSPENDED, RESUMED, STOPPED = 3, 4, 5
STARTED_MIGRATED = (2, 1)
SUSPENDED_MIGRATED, SUSPENDED_POSTCOPY, SUSPENDED_POSTCOPY_FAILED = (3, 1), (3, 7), (3, 8)
RESUMED_MIGRATED, RESUMED_POSTCOPY = (4, 1), (4, 3)
STOPPED_MIGRATED, STOPPED_SAVED = (5, 3), (5, 4)
# virDomainJobOperation.
OPERATION_MIGRATION_IN, OPERATION_MIGRATION_OUT = 4, 5
# virDomainJobType.
JOB_BOUNDED, JOB_UNBOUNDED, JOB_COMPLETED, JOB_FAILED, JOB_CANCELLED = 1, 2, 3, 4, 5
# virErrorNumber.
ERR_NO_DOMAIN, ERR_OPERATION_INVALID, ERR_OPERATION_TIMEOUT = 42, 55, 68
# The errors of a domain that is not there any more, or does not run.
GONE = (ERR_OPERATION_INVALID, ERR_NO_DOMAIN)
