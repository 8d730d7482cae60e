#!/usr/bin/env bash
# Entrypoint of the PostgreSQL image: makes the database on the first start, then runs the server.
#
# POSTGRES_PASSWORD, POSTGRES_USER (postgres), POSTGRES_DB (the user's name), POSTGRES_INITDB_ARGS,
# each also as NAME_FILE, and POSTGRES_HOST_AUTH_METHOD (scram-sha-256) say what is made;
# /docker-entrypoint-initdb.d/*.{sh,sql,sql.gz} run once, in the order of their names. Until all of
# that is done nothing listens on TCP. Runs as `postgres` when started as root, else as any uid.
set -Eeuo pipefail

readonly INIT_DIR=${POSTGRES_INIT_DIR:-/docker-entrypoint-initdb.d}
# Empty: no socket, which init files would need.
readonly SOCKET_DIR=${POSTGRES_SOCKET_DIR-/var/run/postgresql}
readonly RUN_AS=postgres

note() { printf 'postgres-entrypoint: %s\n' "$*" >&2; }

die() {
	note "$*"
	exit 1
}

# Exports NAME, from NAME_FILE where that is set, else with a default.
from_file() {
	local name=$1 file_name=${1}_FILE
	local value=${!name:-} path=${!file_name:-}
	[[ -z $value || -z $path ]] || die "both $name and $file_name are set; unset one of them"
	if [[ -n $path ]]; then
		[[ -r $path ]] || die "$file_name is $path, which uid $EUID cannot read"
		value=$(<"$path")
	fi
	export "$name=${value:-${2:-}}"
	unset "$file_name"
}

only_information_asked() {
	local argument
	for argument; do
		case "$argument" in
		-'?' | --help | --describe-config | -V | --version) return 0 ;;
		esac
	done
	return 1
}

prepare_folders() {
	if ((EUID == 0)) && [[ ! -d ${PGDATA%/*} ]]; then
		mkdir -p "${PGDATA%/*}"
		chown "$RUN_AS" "${PGDATA%/*}"
	fi
	mkdir -p "$PGDATA" || die "uid $EUID cannot write to ${PGDATA%/*}; mount a volume or a tmpfs (mode=1777) at /var/lib/postgresql"
	chmod 700 "$PGDATA" 2>/dev/null || true
	[[ -z $SOCKET_DIR ]] || mkdir -p "$SOCKET_DIR" || true
	if ((EUID == 0)); then
		find "$PGDATA" \! -user "$RUN_AS" -exec chown "$RUN_AS" {} +
		find "$SOCKET_DIR" \! -user "$RUN_AS" -exec chown "$RUN_AS" {} +
	fi
}

# PostgreSQL's tools insist on a name for the user that runs them: any uid gets one.
with_user_name() {
	if getent passwd "$EUID" >/dev/null; then
		"$@"
		return
	fi
	local folder status=0
	folder=$(mktemp -d)
	printf 'postgres:x:%s:%s::%s:/bin/false\n' "$EUID" "$(id -g)" "$PGDATA" >"$folder/passwd"
	printf 'postgres:x:%s:\n' "$(id -g)" >"$folder/group"
	LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_PASSWD=$folder/passwd NSS_WRAPPER_GROUP=$folder/group "$@" || status=$?
	rm -rf "$folder"
	return "$status"
}

read_settings() {
	from_file POSTGRES_PASSWORD
	from_file POSTGRES_USER postgres
	from_file POSTGRES_DB "$POSTGRES_USER"
	from_file POSTGRES_INITDB_ARGS
	: "${POSTGRES_HOST_AUTH_METHOD:=}"
	[[ -n $POSTGRES_PASSWORD || $POSTGRES_HOST_AUTH_METHOD == trust ]] ||
		die "no password for ${POSTGRES_USER}: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE (or POSTGRES_HOST_AUTH_METHOD=trust to let everybody in)"
}

refuse_older_data() {
	local folder
	for folder in /var/lib/postgresql /var/lib/postgresql/data /var/lib/postgresql/*/docker; do
		[[ ! -s $folder/PG_VERSION ]] ||
			die "$folder holds a database of PostgreSQL $(<"$folder/PG_VERSION"), this is $PG_MAJOR; upgrade it with pg_upgrade or dump and restore"
	done
}

# The words of POSTGRES_INITDB_ARGS, with quotes honoured and nothing executed.
initdb_arguments() { xargs printf '%s\0' <<<"$POSTGRES_INITDB_ARGS"; }

make_cluster() {
	local -a arguments=() password=()
	local password_fd
	[[ -z $POSTGRES_INITDB_ARGS ]] || mapfile -d '' -t arguments < <(initdb_arguments)
	[[ -z ${POSTGRES_INITDB_WALDIR:-} ]] || arguments+=(--waldir "$POSTGRES_INITDB_WALDIR")
	if [[ -n $POSTGRES_PASSWORD ]]; then
		exec {password_fd}< <(printf '%s\n' "$POSTGRES_PASSWORD")
		password=(--pwfile="/dev/fd/$password_fd")
	fi
	# One sync at the end of everything instead of one here. With TZ set, initdb need not search
	# for the time zone. --auth names the default, which spares a warning.
	TZ=${TZ:-Etc/UTC} with_user_name initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" \
		--no-sync --no-instructions --auth=trust --set listen_addresses='*' --set "unix_socket_directories=$SOCKET_DIR" \
		"${password[@]}" "${arguments[@]}" >/dev/null
	[[ -z ${password_fd:-} ]] || exec {password_fd}<&-
	printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
}

# Without a server: one process, gone when it is done.
make_database() {
	[[ $POSTGRES_DB != postgres && $POSTGRES_DB != template[01] ]] || return 0
	with_user_name postgres --single -D "$PGDATA" -c exit_on_error=on -c fsync=off postgres \
		<<<"CREATE DATABASE \"${POSTGRES_DB//\"/\"\"}\"" >/dev/null
}

# Runs SQL from standard input or -f FILE in the new database; init scripts may call it.
docker_process_sql() {
	psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc "$@"
}

start_private_server() {
	[[ ${1:-} != postgres ]] || shift
	NOTIFY_SOCKET='' postgres "$@" -c listen_addresses='' -c fsync=off -p "${PGPORT:-5432}" >&2 &
	server=$!
	local status
	until pg_isready -q; do
		status=$?
		# No attempt was made, and none ever will be.
		((status != 3)) || die "pg_isready cannot ask the server; look at the PG variables"
		kill -0 "$server" 2>/dev/null || die "the server ended while $INIT_DIR was to be run"
		read -r -t 0.02 <> <(:) || true
	done
}

stop_private_server() {
	[[ -n ${server:-} ]] || return 0
	kill -INT "$server" 2>/dev/null || true
	wait "$server" || true
	server=
}

run_init_files() {
	local file
	local -a psql=(docker_process_sql)
	for file; do
		case "$file" in
		*.sh)
			note "running $file"
			if [[ -x $file ]]; then
				"$file"
			else
				# shellcheck source=/dev/null
				source "$file"
			fi
			;;
		*.sql)
			note "running $file"
			"${psql[@]}" -f "$file"
			;;
		*.sql.gz)
			note "running $file"
			gunzip -c "$file" | "${psql[@]}"
			;;
		*) note "ignoring $file: not .sh, .sql or .sql.gz" ;;
		esac
	done
}

# An initialisation that was cut off leaves its marker and is begun afresh.
initialise() {
	local -a files
	shopt -s nullglob
	files=("$INIT_DIR"/*)
	shopt -u nullglob
	[[ -r $INIT_DIR ]] || die "uid $EUID cannot read $INIT_DIR"
	trap stop_private_server EXIT
	trap 'exit 143' TERM INT
	: 2>/dev/null >"$UNFINISHED" || true
	make_cluster
	make_database
	if ((${#files[@]})); then
		# For every client, the scripts' own among them: the system may have no name for this uid.
		export PGHOST=$SOCKET_DIR PGUSER=$POSTGRES_USER PGDATABASE=$POSTGRES_DB
		export PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD}
		start_private_server "$@"
		run_init_files "${files[@]}" >&2
		stop_private_server
		unset PGHOST PGUSER PGDATABASE PGPASSWORD
	fi
	[[ " $POSTGRES_INITDB_ARGS " =~ \ (-N|--no-sync)\  ]] || sync --file-system "$PGDATA"
	rm -f "$UNFINISHED"
	trap - EXIT TERM INT
	note "the database is made"
}

main() {
	[[ ${1:-} != -* ]] || set -- postgres "$@"
	if [[ ${1:-} == postgres ]] && ! only_information_asked "$@"; then
		declare -gr UNFINISHED=${PGDATA%/}.unfinished
		prepare_folders
		((EUID)) || exec setpriv --reuid="$RUN_AS" --regid="$RUN_AS" --init-groups -- "$0" "$@"
		if [[ -e $UNFINISHED ]]; then
			note "an earlier initialisation did not finish; beginning afresh"
			find "$PGDATA" -mindepth 1 -delete
		fi
		if [[ ! -s $PGDATA/PG_VERSION ]]; then
			read_settings
			refuse_older_data
			initialise "$@"
			# The server has no use for it, and whoever sees its environment has none either.
			unset POSTGRES_PASSWORD
		fi
	fi
	exec "$@"
}

[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
