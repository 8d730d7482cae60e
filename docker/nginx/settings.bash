# shellcheck shell=bash
# Makes FRONT_*, what the templates are rendered with, from the service's variables; sourced by `front`,
# which exports them.
# shellcheck disable=SC2034
# shellcheck disable=SC2016 # what nginx expands is not for the shell

# front_words VALUE: its words, one a line; blanks or commas stand between them.
front_words() {
	printf '%s\n' "$1" | tr -s ', \t' '\n' | sed '/^$/d'
}

# front_escaped TEXT: the text as a regular expression that matches it alone.
front_escaped() {
	printf '%s\n' "$1" | sed 's/[][(){}.*+?^$|\\]/\\&/g'
}

# front_unless WORD VALUE: the value, or nothing where it is that word.
front_unless() {
	[ "$2" = "$1" ] || printf '%s\n' "$2"
}

# front_limit FILE [FILE_BEFORE]: what the control group allows, by the file's name in the second version
# and in the first; nothing without a limit.
front_limit() {
	for front_file in "$@"; do
		if [ -r "/sys/fs/cgroup/$front_file" ]; then
			read -r front_found _ <"/sys/fs/cgroup/$front_file"
			case $front_found in
			max | -1) ;;
			# The first version says no limit like that.
			?????????????????*) ;;
			*) printf '%s\n' "$front_found" ;;
			esac
			return
		fi
	done
}

# One for each CPU that it may have; what waits on a disk should not hold up all the others.
front_workers() {
	front_cpus=$(nproc)
	front_quota=$(front_limit cpu.max cpu/cpu.cfs_quota_us)
	# Of 100 ms, which nobody changes.
	if [ -n "$front_quota" ] && [ "$(((front_quota + 99999) / 100000))" -lt "$front_cpus" ]; then
		front_cpus=$(((front_quota + 99999) / 100000))
	fi
	[ "$front_cpus" -ge 2 ] || front_cpus=2
	[ "$front_cpus" -le 32 ] || front_cpus=32
	printf '%s\n' "$front_cpus"
}

# front_connections WORKERS: as many as the memory has room for, whatever clients send: the headers of
# a request, four buffers of CLIENT_MAX_HEADER, and what nginx and the kernel have besides.
front_connections() {
	front_memory=$(front_limit memory.max memory/memory.limit_in_bytes)
	front_header=${CLIENT_MAX_HEADER:-16k}
	front_number=$(((${front_memory:-1073741824} / 1024 - 16384) / $1 / (4 * ${front_header%k} + 96)))
	[ "$front_number" -ge 64 ] || front_number=64
	[ "$front_number" -le 4096 ] || front_number=4096
	printf '%s\n' "$front_number"
}

# front_listen PORT...: a kernel may be without IPv6.
front_listen() {
	for front_port in "$@"; do
		printf '    listen %s;\n' "$front_port"
		[ ! -e /proc/net/if_inet6 ] || printf '    listen [::]:%s;\n' "$front_port"
	done
}

# Closed at the root and below API_PREFIX; slashes more than needed open nothing.
front_closed() {
	for front_path in $(front_words "$(front_unless off "$1")"); do
		front_path=$(front_escaped "${front_path%/}" | sed 's,//*,/+,g')
		front_prefix=$(front_escaped "$2" | sed 's,//*,/+,g')
		printf '    location ~ ^(?:%s)?%s(?:/|$) { return 404; }\n' "$front_prefix" "$front_path"
	done
}

# front_rates RATES: `/login=5/s` is a zone of its own for each client, with as many at once.
front_rates() {
	front_number=0
	for front_rate in $(front_words "$1"); do
		front_number=$((front_number + 1))
		front_path=$(front_escaped "${front_rate%=*}")
		front_most=${front_rate##*=}
		case ${front_rate%=*} in
		*/) ;;
		*) front_path="$front_path(?:/|\$)" ;;
		esac
		printf 'map $front_uri $front_rate_%s {\n    default "";\n    "~^%s" $binary_remote_addr;\n}\n' \
			"$front_number" "$front_path"
		printf 'limit_req_zone $front_rate_%s zone=rate_%s:1m rate=%sr/%s;\n' \
			"$front_number" "$front_number" "${front_most%/*}" "${front_most#*/}"
	done
}

front_limits() {
	if [ "${CLIENT_CONNECTIONS:-0}" != 0 ]; then
		printf '    limit_conn clients %s;\n' "$CLIENT_CONNECTIONS"
	fi
	front_number=0
	for front_rate in $(front_words "$1"); do
		front_number=$((front_number + 1))
		front_most=${front_rate##*=}
		printf '    limit_req zone=rate_%s burst=%s nodelay;\n' "$front_number" "${front_most%/*}"
	done
}

# Where bodies lie that are on their way: whose folder it is, the volume may have another's. What a
# container that was killed has left goes.
front_scratch() {
	front_folder=/var/cache/nginx/$(id -u)
	[ -d "$front_folder" ] || mkdir "$front_folder"
	find "$front_folder" -type f -mmin +1440 -delete
	printf '%s\n' "$front_folder"
}

# front_upstream NAME HOST:PORT: the service's replicas by slot. Without slots both are all of them.
front_upstream() {
	for front_slot in blue green; do
		front_host=${2%:*}
		[ "${PROXY_SLOTS:-off}" = off ] || front_host=$front_host-$front_slot
		printf 'upstream %s_%s {\n    zone %s_%s 64k;\n' "$1" "$front_slot" "$1" "$front_slot"
		printf '    server %s:%s resolve max_fails=0;\n' "$front_host" "${2##*:}"
		printf '    keepalive 16;\n    keepalive_timeout 60s;\n}\n'
	done
}

# Sets all of them.
front_settings() {
	set -f
	FRONT_WORKERS=$(front_workers)
	FRONT_CONNECTIONS=$(front_connections "$FRONT_WORKERS")
	FRONT_SCRATCH=$(front_scratch)
	FRONT_HOME=$HOME_FOLDER
	FRONT_GENERATION=$EPOCHREALTIME
	FRONT_API=${PROXY_API%:*}
	FRONT_ROOT=${PROXY_ROOT%:*}
	FRONT_UPSTREAMS=$(front_upstream api "$PROXY_API" && front_upstream root "$PROXY_ROOT")
	# Both are otherwise while the proxy leaves.
	FRONT_LISTEN=${FRONT_AT:-$(front_listen 8080)}
	FRONT_KEEPALIVE=${FRONT_KEEPALIVE:-75s}
	FRONT_DOORS=$(front_listen 8001 8002)
	FRONT_PLAIN=
	if [[ ${TLS:-off} != off ]]; then
		FRONT_PLAIN=$(tls-certificate plain "$FRONT_LISTEN")
		FRONT_LISTEN=$(tls-certificate listen "$FRONT_LISTEN")
	fi
	FRONT_PREFIX=$(front_escaped "${API_PREFIX:?}")
	FRONT_TRUSTED=$(front_words "${TRUSTED_PROXIES:-}" | sed 's/.*/    & 1;/')
	FRONT_REAL_IP=$(front_words "${TRUSTED_PROXIES:-}" | sed 's/.*/set_real_ip_from &;/')
	FRONT_CLOSED=$(front_closed "${CLOSED_PATHS:-/ready}" "$API_PREFIX")
	FRONT_FRAME=$(front_unless off "${FRAME_OPTIONS:-SAMEORIGIN}")
	FRONT_REFERRER=$(front_unless off "${REFERRER_POLICY:-strict-origin-when-cross-origin}")
	FRONT_CSP=$(printf '%s\n' "${CONTENT_SECURITY_POLICY:-}" | sed 's/[\\"]/\\&/g')
	FRONT_ZONES=$(
		printf 'limit_conn_zone $binary_remote_addr zone=clients:1m;\n'
		front_rates "${CLIENT_RATES:-}"
	)
	FRONT_LIMITS=$(front_limits "${CLIENT_RATES:-}")
	set +f
}
