# The user's own file may put other programs first on PATH: then the software of the cycle, and its name in the prompt.
ZDOTDIR="$DATAPROD_ZDOTDIR"
[ -r "$ZDOTDIR/.zshrc" ] && . "$ZDOTDIR/.zshrc"
PATH="$DATAPROD_SOFTWARE:$PATH"
PROMPT="($DATAPROD_CYCLE) $PROMPT"
unset DATAPROD_ZDOTDIR _dataprod_here
rehash
