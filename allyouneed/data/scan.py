"""SCAN: commands such as `jump twice and turn left`, and the actions that they mean (Lake and Baroni 2018).

The grammar of the paper's figure 6, by which its 20,910 commands are made; https://arxiv.org/abs/1711.00350.
"""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

VERBS = ("walk", "look", "run", "jump")
DIRECTIONS = ("left", "right")
WORDS = (*VERBS, "turn", *DIRECTIONS, "opposite", "around", "twice", "thrice", "and", "after")
ACTIONS = ("I_WALK", "I_LOOK", "I_RUN", "I_JUMP", "I_TURN_LEFT", "I_TURN_RIGHT")
LONGEST_COMMAND = 9  # words: walk around left thrice and run around right thrice


class Command(NamedTuple):
    words: tuple[str, ...]
    actions: tuple[str, ...]


def phrases() -> Iterator[Command]:
    """What stands without twice, thrice, and, after: V of the grammar."""
    for verb in (*VERBS, "turn"):
        act = () if verb == "turn" else (f"I_{verb.upper()}",)
        if act:
            yield Command((verb,), act)
        for direction in DIRECTIONS:
            turn = (f"I_TURN_{direction.upper()}",)
            yield Command((verb, direction), turn + act)
            yield Command((verb, "opposite", direction), turn * 2 + act)
            yield Command((verb, "around", direction), (turn + act) * 4)


def sentences() -> Iterator[Command]:
    """A phrase once, twice or thrice: S of the grammar."""
    for words, actions in phrases():
        yield Command(words, actions)
        yield Command((*words, "twice"), actions * 2)
        yield Command((*words, "thrice"), actions * 3)


def commands() -> Iterator[Command]:
    """All commands: a sentence, or two. The trap: what stands `after` is done first."""
    yield from sentences()
    for first in sentences():
        for second in sentences():
            yield Command((*first.words, "and", *second.words), first.actions + second.actions)
            yield Command((*first.words, "after", *second.words), second.actions + first.actions)


@cache
def by_length() -> dict[int, list[Command]]:
    """The commands by the number of their actions, 1 to 48."""
    found: dict[int, list[Command]] = {}
    for command in commands():
        found.setdefault(len(command.actions), []).append(command)
    return dict(sorted(found.items()))
