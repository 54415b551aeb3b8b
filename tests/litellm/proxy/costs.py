"""Notes what each callback said that a call cost: what our spend has to be equal to."""

import json
import os
from pathlib import Path

from litellm.integrations.custom_logger import CustomLogger


def note(kwargs):
    payload = kwargs["standard_logging_object"]
    noted = {
        "call": payload["litellm_call_id"],
        "status": payload["status"],
        "cost": repr(payload["response_cost"]),
    }
    with Path(os.environ["COSTS_OUT"]).open("a") as file:
        file.write(json.dumps(noted) + "\n")


class Costs(CustomLogger):
    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        note(kwargs)

    async def async_log_failure_event(self, kwargs, response_obj, start_time, end_time):
        note(kwargs)


handler = Costs()
