"""Drives runs of agents by pydantic-ai, over this server's own gateway; the only package that may import it.

`loading` makes a version ready, `driving` goes through a run; what is between them:

    driving ─▶ run of pydantic-ai ─┬─ chatting: its model ──▶ chats: the journal, else `World.chat`
                                   └─ toolset: its tools ───▶ `Doing`: the journal, else the tool

`bodies` says how a run becomes requests and how answers are read, and `ending` what a run gives that ended early.
"""
