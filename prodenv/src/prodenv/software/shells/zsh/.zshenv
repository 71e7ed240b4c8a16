# Read by the zsh that dataprod-load-sw opens, which finds its files here by ZDOTDIR: those of the user come first.
_dataprod_here="$ZDOTDIR"
ZDOTDIR="${DATAPROD_ZDOTDIR:-$HOME}"
[ -r "$ZDOTDIR/.zshenv" ] && . "$ZDOTDIR/.zshenv"
DATAPROD_ZDOTDIR="$ZDOTDIR"
ZDOTDIR="$_dataprod_here"
