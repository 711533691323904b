"""Writes cases.jsonl: what transformers renders of conversations with the templates in templates.py.

    python generate.py        (transformers 4.57.6, Jinja2 3.1.6)

A case: template's name, conversation, add_generation_prompt, text (or null and the message of raise_exception),
the assistant's character ranges where the template has generation blocks.
"""

import datetime
import json
import os

import transformers.utils.chat_template_utils as utils
from jinja2 import TemplateError

from templates import TEMPLATES


class Frozen(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 5, 12, 0, 0)


utils.datetime = Frozen
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
WEATHER = {"type": "function", "function": {
    "name": "weather", "description": "Weather of a \"city\" & more <b>",
    "parameters": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Zürich", "東京"]}}, "required": ["city"]},
    "return": {"type": "number"}}}


def says(role, content, **more):
    return {"role": role, "content": content, **more}


USER, ANSWER = says("user", "  What is 2+2?\n"), says("assistant", " Four, naïve 日本 😀. ")
CALL = says("assistant", "", tool_calls=[{"type": "function", "function": {"name": "weather", "arguments": {"z": 1, "city": "東京"}}}])
CONVERSATIONS = [
    {"messages": [USER]},
    {"messages": [USER, ANSWER]},
    {"messages": [says("system", "Be <brief>."), USER, ANSWER, says("user", "And 3+3?"), says("assistant", "Six.")]},
    {"messages": [USER, ANSWER, says("user", "Thanks"), says("assistant", "<think>\nhm\n</think>\n\nBye")], "enable_thinking": False},
    {"messages": [USER, CALL, says("tool", "21"), says("tool", "22"), ANSWER], "tools": [WEATHER]},
    {"messages": [says("system", "S"), says("user", "Now"), ANSWER, says("user", "end")], "tools": [WEATHER, WEATHER],
     "date_string": "1 Jan 2025"},
    {"messages": [ANSWER, USER]},
]


def case(name, conversation, prompt):
    rest = {key: value for key, value in conversation.items() if key not in ("messages", "tools")}
    try:
        texts, ranges = utils.render_jinja_template(
            [conversation["messages"]], tools=conversation.get("tools"), chat_template=TEMPLATES[name],
            return_assistant_tokens_mask="{% generation" in TEMPLATES[name], add_generation_prompt=prompt, **TOKENS, **rest)
    except TemplateError as error:
        return [name, conversation, prompt, None, str(error)]
    return [name, conversation, prompt, texts[0], ranges[0] if ranges else None]


def main():
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    with open("cases.jsonl", "w", encoding="utf-8", newline="\n") as file:
        rows = [case(name, conversation, prompt) for name in TEMPLATES for conversation in CONVERSATIONS for prompt in (False, True)
                if name != "language" or not prompt]
        json.dump({"templates": TEMPLATES, "tokens": TOKENS}, file, ensure_ascii=False)
        file.write("\n" + "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


if __name__ == "__main__":
    main()
