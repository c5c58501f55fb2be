"""Strategy files for tests."""

VALID = """
id = "hello"
title = "Hello"
description = "A hello."
why_chosen = "a hello is short"
channels = ["email"]
never_with = []

[trigger]
stages = ["churned_early"]

[timing]
send_hour = 12

[dose]
max_touches = 1
days_between = 7
stop_rule = "Stop at a return."

[offer]
kind = "none"

[prior]
tau_low = 0.0
tau = 0.1
tau_high = 0.2
source = "Opinion."

[[templates]]
template_id = "hello_letter"
channels = ["email"]

[templates.en]
body = "Hello {first_name}."
cta = "Look in: {link}"
opt_out = "Stop: {unsubscribe_link}"
why_sent = "You agreed."

[templates.zh]
body = "{first_name}，您好。"
cta = "回来看看：{link}"
opt_out = "退订：{unsubscribe_link}"
why_sent = "您曾同意接收。"
"""


def swapped(*swaps: tuple[str, str]) -> str:
    """The valid file with some texts in place of others, each of which must be there."""
    text = VALID
    for old, new in swaps:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text
