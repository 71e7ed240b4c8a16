# Source me: `source setup.sh` in bash or zsh, `. ./setup.sh` in any POSIX shell; from any folder, any number of times.
#
# Exports PRODENV (this folder), PRODENV_TOOLS (the tools of the environment), PRODENV_VERSION, and puts bin/ and tools/bin/
# first on PATH, once. A shell that cannot tell where a sourced file lies takes PRODENV, if it is set, or the current folder.
#
# Everything is worked out in subshells, so that nothing but these variables is left behind.

if _prodenv_found=$(
  unset -f cd pwd readlink dirname 2>/dev/null || :

  is_prodenv() { [ -n "$1" ] && [ -f "$1/setup.sh" ] && [ -f "$1/bin/prodenv-tools" ]; }

  folder_of() {
    file=$(readlink -f -- "$1" 2>/dev/null) || file=$1
    CDPATH='' \cd -P -- "$(dirname -- "${file:-$1}")" >/dev/null 2>&1 && \pwd -P
  }

  file=''
  if [ -n "${BASH_VERSION:-}" ]; then
    file=${BASH_SOURCE:-}
  elif [ -n "${ZSH_VERSION:-}" ]; then
    eval 'file=${(%):-%x}' # the syntax of zsh, which other shells must not see
  elif [ "${0##*/}" = setup.sh ]; then
    file=$0
  fi
  for candidate in "${file:+$(folder_of "$file")}" "${PRODENV:-}" "$(\pwd -P)"; do
    if is_prodenv "$candidate"; then
      CDPATH='' \cd -P -- "$candidate" >/dev/null 2>&1 && \pwd -P
      exit 0
    fi
  done
  exit 1
); then
  # PATH without what an earlier sourcing put there, of this environment or of another one
  _prodenv_path=$(
    list=":$PATH:"
    for entry in "$_prodenv_found" "${PRODENV:-}"; do
      [ -n "$entry" ] || continue
      for folder in "$entry/bin" "$entry/tools/bin"; do
        while case $list in *":$folder:"*) : ;; *) false ;; esac do
          list="${list%%":$folder:"*}:${list#*":$folder:"}"
        done
      done
    done
    list=${list#:}
    printf '%s' "${list%:}"
  )
  export PRODENV="$_prodenv_found"
  export PRODENV_TOOLS="$PRODENV/tools"
  export PATH="$PRODENV/bin:$PRODENV/tools/bin${_prodenv_path:+:$_prodenv_path}"
  PRODENV_VERSION=unknown
  [ ! -r "$PRODENV/prodenv/VERSION" ] || IFS= read -r PRODENV_VERSION <"$PRODENV/prodenv/VERSION" || :
  export PRODENV_VERSION
  unset _prodenv_found _prodenv_path
else
  unset _prodenv_found
  printf '%s\n' 'error: this shell does not tell where setup.sh lies' \
    'hint: set PRODENV to the folder of setup.sh and source it again: PRODENV=/path/to/prodenv; . "$PRODENV/setup.sh"' >&2
  return 2 2>/dev/null || exit 2
fi
