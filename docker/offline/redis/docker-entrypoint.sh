#!/usr/bin/env bash
# Entrypoint of the Valkey image: bare options and configuration files go to the server, which
# runs as `valkey` when the container was started as root, and else as the user it was given.
set -Eeuo pipefail

readonly RUN_AS=valkey

die() {
	printf 'valkey-entrypoint: %s\n' "$*" >&2
	exit 1
}

main() {
	[[ ${1:-} != -* && ${1:-} != *.conf ]] || set -- valkey-server "$@"
	if [[ ${1:-} == valkey-server || ${1:-} == redis-server ]]; then
		if ((EUID == 0)); then
			find . \! -user "$RUN_AS" -exec chown "$RUN_AS" {} +
			exec setpriv --reuid="$RUN_AS" --regid="$RUN_AS" --clear-groups -- "$0" "$@"
		fi
		[[ -w . ]] || die "$PWD is not writable by uid $EUID; mount a volume or a tmpfs that is"
		# What is written there is data: nobody else's to read.
		[[ $(umask) != 0022 ]] || umask 0077
	fi
	local -a extra
	read -r -a extra <<<"${VALKEY_EXTRA_FLAGS:-}"
	exec "$@" "${extra[@]}"
}

[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
