"""`skep completion bash|zsh|fish`: a script that asks skep itself what fits.

The script calls `skep completion words WORD…`, which prints what the last word may become: command
names, and flags after a dash. Names of objects are left to the person.
"""

from __future__ import annotations

from skep.cli.errors import Failure
from skep.cli.flags.command import SOME, Command
from skep.cli.flags.flag import Options
from skep.cli.session import Session
from skep.cli.table import children, find

_BASH = """_skep() {
    local IFS=$'\\n'
    COMPREPLY=($(skep completion words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _skep skep
"""
_ZSH = """#compdef skep
_skep() {
    local -a found
    found=("${(@f)$(skep completion words "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    compadd -a found || _files
}
compdef _skep skep
"""
_FISH = """function __skep_words
    skep completion words (commandline -opc)[2..] (commandline -ct)
end
complete -c skep -f -a '(__skep_words)'
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def _completion(session: Session, _: Options, arguments: list[str]) -> None:
    if len(arguments) == 1 and arguments[0] in _SCRIPTS:
        session.write(_SCRIPTS[arguments[0]])
        return
    if arguments[0] == "words":
        for candidate in candidates(arguments[1:]):
            session.say(candidate)
        return
    raise Failure(f"unknown shell {arguments[0]}: use {', '.join(_SCRIPTS)}")


def candidates(words: list[str]) -> list[str]:
    """What the last of `words` may become."""
    *before, last = words or [""]
    entry, rest = find(before)
    if entry is None or entry.is_group:
        if rest:
            return []
        known = [child.name for child in children(entry.path if entry else "")]
        return [name for name in known if name.startswith(last)]
    if not last.startswith("-"):
        return []
    from skep.cli.app import load

    names = [f"--{flag.name}" for flag in load(entry).flags if not flag.hidden]
    return sorted(name for name in names if name.startswith(last))


COMPLETION = Command("bash|zsh|fish", _completion, SOME, interspersed=False)
