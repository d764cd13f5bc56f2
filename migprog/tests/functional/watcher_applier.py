# SPDX-License-Identifier: Apache-2.0
"""Run by the Python of Watcher's environment: carries out an action plan by Watcher's own applier,
with its workflow engine and database, and prints what Watcher has in the end.

watcher_applier.py CONFIG_FILE MODE PARAMETERS: MODE is plan, cancel or revert.
"""

import json
import sys
import threading
import time
import uuid

from watcher import conf, objects
from watcher.applier.action_plan.default import DefaultActionPlanHandler
from watcher.applier.actions import factory
from watcher.common import context, service
from watcher.db import migration

_ACTION = "migprog_migrate"


def _plan(ctxt, parameters):
    """An action plan as the decision engine makes one, in Watcher's database."""
    goal = objects.Goal(ctxt, name="goal", display_name="goal", efficacy_specification=[])
    goal.create()
    strategy = objects.Strategy(ctxt, name="actuator", display_name="actuator", goal_id=goal.id)
    strategy.create()
    audit = objects.Audit(
        ctxt,
        name="audit",
        audit_type="ONESHOT",
        state="SUCCEEDED",
        goal_id=goal.id,
        strategy_id=strategy.id,
        parameters={},
        interval=None,
        scope=[],
        auto_trigger=False,
        hostname="here",
    )
    audit.create()
    plan = objects.ActionPlan(
        ctxt,
        audit_id=audit.id,
        strategy_id=strategy.id,
        state="PENDING",
        global_efficacy=[],
        hostname="here",
    )
    plan.create()
    action = _action(ctxt, plan, parameters)
    action.create()
    return plan, action


def _action(ctxt, plan, parameters):
    return objects.Action(
        ctxt,
        uuid=str(uuid.uuid4()),
        action_plan_id=plan.id,
        action_type=_ACTION,
        input_parameters=parameters,
        state="PENDING",
        parents=[],
    )


def _carry_out(ctxt, parameters):
    plan, action = _plan(ctxt, parameters)
    DefaultActionPlanHandler(ctxt, None, plan.uuid).execute()
    plan = objects.ActionPlan.get_by_uuid(ctxt, plan.uuid)
    action = objects.Action.get_by_uuid(ctxt, action.uuid)
    return {"plan": plan.state, "action": action.state, "message": action.status_message}


def _load(ctxt, parameters):
    """The action as the workflow engine loads it."""
    plan = objects.ActionPlan(ctxt, id=1)
    return factory.ActionFactory().make_action(_action(ctxt, plan, parameters))


def _cancel(ctxt, parameters):
    """Abort the action while it is carried out, as the engine does when a plan is cancelled."""
    action = _load(ctxt, parameters)
    failed = []

    def execute():
        try:
            action.execute()
        except Exception as error:
            failed.append(str(error))

    thread = threading.Thread(target=execute, daemon=True)
    thread.start()
    while not (aborted := action.abort()) and thread.is_alive():
        time.sleep(0.1)
    thread.join(60)
    return {"check_abort": action.check_abort(), "aborted": aborted, "failed": failed}


def main():
    path, mode, parameters = sys.argv[1:]
    conf.CONF.set_default("notification_level", None)
    service.prepare_service(["watcher-applier", "--config-file", path], conf.CONF)
    ctxt = context.make_context(is_admin=True)
    migration.create_schema()
    parameters = json.loads(parameters)
    if mode == "plan":
        found = _carry_out(ctxt, parameters)
    elif mode == "cancel":
        found = _cancel(ctxt, parameters)
    else:
        found = {"reverted": _load(ctxt, parameters).revert()}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
