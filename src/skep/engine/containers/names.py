"""Names made up for containers without one."""

from __future__ import annotations

import random

_MOOD_WORDS = (
    "amber brave breezy bright brisk busy calm candid cheery clever comely cosy crisp daring "
    "deft diligent dreamy eager earnest easy fair fearless fleet fond frank fresh gallant "
    "gentle giddy glad golden graceful hale handy hearty honest humble jolly jovial keen "
    "kindly light limber lively loyal lucid mellow merry mild mirthful modest neat nimble "
    "noble patient peppy plucky polite proud quaint quick quiet ready restful rosy serene "
    "sharp sleek smart snug sociable spry steady stout sunny sweet swift tender thrifty tidy "
    "trusty upbeat vivid warm wary whimsical willing wise witty zesty"
)
_BEEKEEPER_WORDS = (
    "aristaeus aristotle bevan butler columella cotton crane dadant demaree digges doolittle "
    "dzierzon elsholtz fabre frisch gelieu gravenhorst heddon hooke hruschka huber huish "
    "janscha keys kirby kritsky langstroth latreille layens lindauer linnaeus lubbock "
    "maeterlinck manley maraldi mehring mendel miller nickel nolan prokopovich quinby reaumur "
    "remnant root ruttner schirach seeley simmins snodgrass swammerdam thorley tomlinson "
    "turner varro virgil warder warre wedmore wildman winston worlidge zander"
)
_MOODS, _BEEKEEPERS = _MOOD_WORDS.split(), _BEEKEEPER_WORDS.split()


def made_up_name(dice: random.Random, attempt: int) -> str:
    """`mood_beekeeper`, with a digit from the second attempt on, when the first was taken."""
    name = f"{dice.choice(_MOODS)}_{dice.choice(_BEEKEEPERS)}"
    return f"{name}{dice.randrange(10)}" if attempt else name
