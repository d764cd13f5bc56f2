#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints migprog's notifications, a line of JSON each: listen.py --config-file FILE

The file has [DEFAULT] transport_url, and control_exchange and [oslo_messaging_rabbit] as migprog's
own. Needs oslo.messaging alone. In a consumer of your own replace what _take does.
"""

import json
import sys

import oslo_messaging
from oslo_config import cfg

TOPIC = "migprog_notifications"


class Endpoint:
    """Its methods are called by priority. All three are needed: each priority has its own queue."""

    filter_rule = oslo_messaging.NotificationFilter(event_type=r"^migration_progress\.")

    def info(self, ctxt, publisher_id, event_type, payload, metadata):
        return self._take("info", event_type, payload)

    def warn(self, ctxt, publisher_id, event_type, payload, metadata):
        return self._take("warn", event_type, payload)

    def error(self, ctxt, publisher_id, event_type, payload, metadata):
        return self._take("error", event_type, payload)

    def _take(self, priority, event_type, payload):
        line = {"priority": priority, "event_type": event_type, "payload": payload}
        print(json.dumps(line), flush=True)
        return oslo_messaging.NotificationResult.HANDLED


def main():
    cfg.CONF(sys.argv[1:], project="listen")
    transport = oslo_messaging.get_notification_transport(cfg.CONF)
    listener = oslo_messaging.get_notification_listener(
        transport, [oslo_messaging.Target(topic=TOPIC)], [Endpoint()], executor="threading"
    )
    listener.start()
    print("listening", file=sys.stderr, flush=True)
    listener.wait()


if __name__ == "__main__":
    main()
