#!/usr/bin/env bash
# Installs and starts a Docker Engine on a Debian machine that has none; safe to run again.
#
# Where the machine's own Debian release has an engine that is new enough, that one is installed.
# Where it hasn't (Debian 12), the engine, BuildKit and Compose alone come from ENGINE_SUITE, whose
# archive is added as a source that nothing else is ever taken from; no package that is already
# installed is upgraded. The archive's address is read from the machine's own sources.
#
# Usage: sudo scripts/host/debian-engine.sh [install|start|stop]     (default: start, which installs)
set -Eeuo pipefail

readonly ENGINE_SUITE="${ENGINE_SUITE:-trixie}"
readonly ENGINE_WAIT_SECONDS="${ENGINE_WAIT_SECONDS:-60}"
readonly STATE_DIR=/run/gangway-engine
readonly PACKAGES=(docker.io docker-cli docker-buildx docker-compose)
# containerd belongs to the engine. runc stays the machine's own: the other suite's wants a newer libc.
readonly FROM_SUITE=("${PACKAGES[@]}" containerd)
readonly MIN_ENGINE_MAJOR=25
# Debian's client: another one earlier on PATH may be older.
readonly DOCKER=/usr/bin/docker
readonly PLUGINS=/usr/libexec/docker/cli-plugins

say() { printf 'debian-engine: %s\n' "$*" >&2; }

die() {
	say "$1"
	exit "${2:-2}"
}

engine_answers() { "$DOCKER" info >/dev/null 2>&1; }

major() { sed -E 's/^[^0-9]*([0-9]+).*/\1/'; }

installed() {
	[[ -x $DOCKER ]] && command -v dockerd >/dev/null &&
		"$DOCKER" compose version >/dev/null 2>&1 && "$DOCKER" buildx version >/dev/null 2>&1 &&
		(($(dockerd --version | major) >= MIN_ENGINE_MAJOR))
}

# Whether apt, as it is configured, would install an engine that is new enough.
candidate_suffices() {
	local package version
	for package in "${PACKAGES[@]}"; do
		version=$(apt-cache policy "$package" | awk '$1 == "Candidate:" {print $2}')
		[[ $version == [0-9]* ]] || return 1
		[[ $package != docker.io ]] || (($(major <<<"$version") >= MIN_ENGINE_MAJOR)) || return 1
	done
}

# The address of the main archive, as the machine's own apt sources name it.
archive_address() {
	local address
	# shellcheck disable=SC2016 # the $(...) is apt's
	address=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' |
		awk '!/security/ {print; exit}')
	[[ -n $address ]] ||
		die "no Debian archive among this machine's apt sources: install Docker Engine $MIN_ENGINE_MAJOR or later by hand"
	printf '%s\n' "$address"
}

add_suite() {
	local address
	address=$(archive_address)
	say "this release's engine is too old; taking ${FROM_SUITE[*]} from Debian $ENGINE_SUITE"
	cat >/etc/apt/sources.list.d/gangway-engine.sources <<-SOURCES
		Types: deb
		URIs: $address
		Suites: $ENGINE_SUITE
		Components: main
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
	SOURCES
	cat >/etc/apt/preferences.d/gangway-engine <<-PREFERENCES
		Package: *
		Pin: release n=$ENGINE_SUITE
		Pin-Priority: -1

		Package: ${FROM_SUITE[*]}
		Pin: release n=$ENGINE_SUITE
		Pin-Priority: 990
	PREFERENCES
	apt-get update -qq
}

# The packages' start scripts want an init system. A machine without one gets the daemon from
# start_engine, so that the scripts are told not to try.
without_starting_services() {
	local policy=/usr/sbin/policy-rc.d
	if [[ -d /run/systemd/system || -e $policy ]]; then
		"$@"
		return
	fi
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
	local status=0
	"$@" || status=$?
	rm -f "$policy"
	return "$status"
}

# What of the list of installed packages $1 is no more what it was, one a line.
changed_since() {
	comm -23 <(printf '%s\n' "$1") <(installed_packages)
}

installed_packages() {
	# shellcheck disable=SC2016 # the ${...} are dpkg's
	dpkg-query --show --showformat '${db:Status-Abbrev}${Package}:${Architecture} ${Version}\n' |
		LC_ALL=C sort
}

install_engine() {
	local before changed log
	command -v apt-get >/dev/null ||
		die "this is not a Debian machine: install Docker Engine $MIN_ENGINE_MAJOR or later with Compose and buildx by hand"
	export DEBIAN_FRONTEND=noninteractive
	log=$(mktemp)
	before=$(installed_packages)
	apt-get update -qq
	candidate_suffices || add_suite
	say "installing ${PACKAGES[*]}"
	if ! without_starting_services apt-get install -y -q --no-install-recommends --no-remove \
		"${PACKAGES[@]}" ca-certificates iptables >"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		die "apt could not install the engine (all of it: $log)" 1
	fi
	rm -f "$log"
	changed=$(changed_since "$before")
	[[ -z $changed ]] || say "changed beside the engine: $changed"
	link_plugins
}

# A docker client that was put into /usr/local looks for plugins there first, and may not know
# Debian's folder: with these links `docker compose` works with either client.
link_plugins() {
	local plugin theirs=/usr/local/lib/docker/cli-plugins
	[[ -x /usr/local/bin/docker ]] || return 0
	mkdir -p "$theirs"
	for plugin in "$PLUGINS"/docker-*; do
		[[ -e $theirs/${plugin##*/} ]] || ln -s "$plugin" "$theirs/${plugin##*/}"
	done
}

start_engine() {
	local deadline=$((SECONDS + ENGINE_WAIT_SECONDS)) pid=''
	mkdir -p "$STATE_DIR"
	if [[ -d /run/systemd/system ]]; then
		systemctl start docker || gave_up "systemd could not start the engine"
		printf 'systemd\n' >"$STATE_DIR/started"
	else
		say "starting dockerd (log: $STATE_DIR/dockerd.log)"
		setsid dockerd >"$STATE_DIR/dockerd.log" 2>&1 </dev/null &
		pid=$!
		printf '%s\n' "$pid" >"$STATE_DIR/started"
	fi
	until engine_answers; do
		[[ -z $pid ]] || kill -0 "$pid" 2>/dev/null || gave_up "the engine ended as it started"
		((SECONDS < deadline)) || gave_up "the engine did not answer within $ENGINE_WAIT_SECONDS s"
		sleep 0.2
	done
}

gave_up() {
	if [[ -f $STATE_DIR/dockerd.log ]]; then
		tail -n 10 "$STATE_DIR/dockerd.log" >&2
	else
		journalctl --unit docker --lines 10 --no-pager >&2 || true
	fi
	rm -f "$STATE_DIR/started"
	die "$1" 1
}

stop_engine() {
	local started deadline=$((SECONDS + ENGINE_WAIT_SECONDS))
	[[ -f $STATE_DIR/started ]] || die "not stopped: this script did not start the engine"
	started=$(<"$STATE_DIR/started")
	if [[ $started == systemd ]]; then
		systemctl stop docker docker.socket
	else
		kill "$started" 2>/dev/null || true
		while kill -0 "$started" 2>/dev/null; do
			((SECONDS < deadline)) || die "dockerd (process $started) did not stop within $ENGINE_WAIT_SECONDS s" 1
			sleep 0.2
		done
	fi
	rm -f "$STATE_DIR/started"
}

main() {
	((EUID == 0)) || die "run this as root: sudo $0"
	case "${1:-start}" in
	install) installed || install_engine ;;
	start)
		installed || install_engine
		engine_answers || start_engine
		say "engine $("$DOCKER" version --format '{{.Server.Version}}'), compose $("$DOCKER" compose version --short)"
		;;
	stop) stop_engine ;;
	*) die "usage: $0 [install|start|stop]" ;;
	esac
}

[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
