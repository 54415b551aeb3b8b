"""A guardrail as people write it: it raises, and leaves no word in LiteLLM's record."""

from fastapi import HTTPException
from litellm.integrations.custom_guardrail import CustomGuardrail


class OwnRules(CustomGuardrail):
    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        text = str(data.get("messages"))
        if "the merger" in text:
            raise HTTPException(400, {"error": f"not about that: {text}"})
        if "the weather" in text:
            raise ValueError(f"not about that either: {text}")
        return data
