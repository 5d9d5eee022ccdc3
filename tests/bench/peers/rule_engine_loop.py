"""rule-engine over rules and messages from standard input; runs in an environment of its own.

{"rules": [[name, expression]], "messages": [{}]} gives {"us": a message, "fired": [[names] a message]}.
"""

import json
import sys
import time

import rule_engine


def main() -> None:
    given = json.load(sys.stdin)
    rules = [(name, rule_engine.Rule(text)) for name, text in given["rules"]]
    begun = time.perf_counter()
    fired = [[name for name, rule in rules if rule.matches(message)] for message in given["messages"]]
    us = (time.perf_counter() - begun) / len(given["messages"]) * 1e6
    json.dump({"us": us, "fired": fired}, sys.stdout)


if __name__ == "__main__":
    main()
