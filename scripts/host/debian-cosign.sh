#!/usr/bin/env bash
# Installs cosign, which signs releases, on a Debian machine; safe to run again.
#
# Where the machine's own Debian release has none (Debian 12), it alone comes from COSIGN_SUITE,
# whose archive is added as a source that nothing else is ever taken from.
#
# Usage: sudo scripts/host/debian-cosign.sh
set -Eeuo pipefail

readonly COSIGN_SUITE="${COSIGN_SUITE:-trixie}"
# shellcheck source=scripts/host/debian-engine.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian-engine.sh"

say() { printf 'debian-cosign: %s\n' "$*" >&2; }

has_candidate() {
	[[ $(apt-cache policy cosign | awk '$1 == "Candidate:" {print $2}') == [0-9]* ]]
}

add_cosign_suite() {
	local address
	address=$(archive_address)
	# The engine may have come from there.
	[[ -n $(apt-cache madison cosign) ]] || cat >/etc/apt/sources.list.d/gangway-cosign.sources <<-SOURCES
		Types: deb
		URIs: $address
		Suites: $COSIGN_SUITE
		Components: main
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
	SOURCES
	cat >/etc/apt/preferences.d/gangway-cosign <<-PREFERENCES
		Package: *
		Pin: release n=$COSIGN_SUITE
		Pin-Priority: -1

		Package: cosign
		Pin: release n=$COSIGN_SUITE
		Pin-Priority: 990
	PREFERENCES
	apt-get update -qq
}

main() {
	((EUID == 0)) || die "run this as root: sudo $0"
	! command -v cosign >/dev/null || return 0
	apt-get update -qq
	has_candidate || add_cosign_suite
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends --no-remove cosign
}

[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
