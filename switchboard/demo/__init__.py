"""`switchboard demo`: sixty customers over real protocols, two agents, and a ledger that has to balance."""

from switchboard.demo.show import run_demo

__all__ = ["run_demo"]
