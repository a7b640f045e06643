"""What to do about what KFP's compiler writes wrongly: such a pipeline fails in KFP as well, after its first tasks have run."""

import re
from typing import Final

_CHANNEL: Final = "pipelinechannel--"
_QUOTED_INPUT: Final = re.compile(r"'(?:int\(|double\()?inputs\.parameter_values\['")


def on_expression(text: str) -> str:
    """What to change in the Python code that this unreadable condition was compiled from; empty where that is not known."""
    if _QUOTED_INPUT.search(text):
        return (
            "; KFP's compiler writes this where a text is compared with what is no text: compare values of one type, "
            "such as str with str"
        )
    if "parameter_values[" in text:
        return (
            "; KFP's compiler escapes no quotes, backslashes and line breaks in a text that is compared: "
            "compare in a component, and branch on what it returns"
        )
    return ""


def on_channel(name: str) -> str:
    """What to change where an input that KFP's compiler made up was not handed in; empty for any other."""
    if not name.startswith(_CHANNEL):
        return ""
    return "; KFP's compiler forgot to hand it in: give it to the task as an argument of its own, not only in a text or a limit"
