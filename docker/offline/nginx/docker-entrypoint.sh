#!/usr/bin/env bash
# Entrypoint of the nginx image: renders /etc/nginx/templates/*.template into /etc/nginx/conf.d with
# the variables of the environment, runs the scripts in /docker-entrypoint.d, then the command.
#
# NGINX_ENVSUBST_TEMPLATE_DIR, _TEMPLATE_SUFFIX, _OUTPUT_DIR and _FILTER (a regular expression for
# the names of variables) change the rendering; NGINX_ENTRYPOINT_LOCAL_RESOLVERS sets
# NGINX_LOCAL_RESOLVERS from resolv.conf; NGINX_ENTRYPOINT_QUIET_LOGS silences this script.
set -Eeuo pipefail

note() { [[ -n ${NGINX_ENTRYPOINT_QUIET_LOGS:-} ]] || printf 'nginx-entrypoint: %s\n' "$*" >&2; }

die() {
	printf 'nginx-entrypoint: %s\n' "$*" >&2
	exit 1
}

set_local_resolvers() {
	[[ -n ${NGINX_ENTRYPOINT_LOCAL_RESOLVERS:-} ]] || return 0
	NGINX_LOCAL_RESOLVERS=$(awk '$1 == "nameserver" {print ($2 ~ /:/) ? "[" $2 "]" : $2}' /etc/resolv.conf | paste -sd ' ')
	export NGINX_LOCAL_RESOLVERS
}

# Only variables that the environment has: nginx's own, such as $host, stay as they are.
variables_to_replace() {
	local name
	while read -r name; do
		[[ $name =~ ${NGINX_ENVSUBST_FILTER:-} ]] && printf '$%s ' "$name"
	done < <(compgen -e)
	return 0
}

render_templates() {
	local from=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
	local suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
	local to=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
	[[ -d $from ]] || return 0
	local -a templates
	mapfile -d '' -t templates < <(find -L "$from" -type f -name "*$suffix" -print0)
	((${#templates[@]})) || return 0
	[[ -w $to ]] || die "$to is not writable by uid $EUID; mount a tmpfs there (mode=1777)"
	local template target variables
	variables=$(variables_to_replace)
	for template in "${templates[@]}"; do
		target=$to/${template#"$from"/}
		target=${target%"$suffix"}
		[[ -d ${target%/*} ]] || mkdir -p "${target%/*}"
		note "rendering $template to $target"
		envsubst "$variables" <"$template" >"$target"
	done
}

run_scripts() {
	local script
	while IFS= read -r script; do
		case "$script" in
		*.envsh | *.sh)
			if [[ ! -x $script ]]; then
				note "ignoring $script: not executable"
			elif [[ $script == *.envsh ]]; then
				# shellcheck source=/dev/null
				source "$script"
			else
				"$script"
			fi
			;;
		*) note "ignoring $script: neither .sh nor .envsh" ;;
		esac
	done < <(find -L /docker-entrypoint.d -type f | sort -V)
}

main() {
	if [[ ${1:-} == nginx ]]; then
		set_local_resolvers
		run_scripts
		render_templates
	fi
	exec "$@"
}

[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
