"""Names for what was given none: `brave_dadant`, a mood and a beekeeper."""

from __future__ import annotations

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


def made_up_name(number: int) -> str:
    """The name that a number from 0 on chooses; the lists begin anew after the last."""
    mood, beekeeper = divmod(number, len(_BEEKEEPERS))
    return f"{_MOODS[mood % len(_MOODS)]}_{_BEEKEEPERS[beekeeper]}"
