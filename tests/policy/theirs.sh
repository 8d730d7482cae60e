# Sourced by the samples of docs/adopting.md: `theirs STAND-IN NAME` goes to a fresh repository with
# somebody's app in it, `elsewhere` to an empty folder; `gangway` is this checkout's.
# shellcheck shell=bash
PYTHONPATH=$PWD
export PYTHONPATH
gangway() { python -m gangway "$@"; }
elsewhere() { mkdir "$PYTHONPATH/elsewhere" && cd "$PYTHONPATH/elsewhere" || exit; }
git() { command git -c user.name=Ada -c user.email=ada@example.com "$@"; }
GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@example.com
GIT_COMMITTER_NAME=Ada GIT_COMMITTER_EMAIL=ada@example.com
export GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL

theirs() {
	local stand_in=$PYTHONPATH/tests/e2e/foreign/$1
	elsewhere
	cp -R "$stand_in" "$2" && cd "$2" || exit
	git init --quiet && git add --all && git commit --quiet --message 'As it was'
}
