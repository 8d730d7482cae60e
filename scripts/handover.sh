# What an app finds in its environment: the variables that APP_READS names. Sourced, never run.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh

# value_of NAME: sets `value` to what NAME holds, or to what is in the file that NAME_FILE names,
# without the newlines at its end. Where there is neither, NAME is noted as missing.
value_of() {
	local file_name=$1_FILE
	value=''
	if [[ -v handed[$1] ]]; then
		value=${handed[$1]}
		return
	fi
	check_file_env "$1"
	if [[ -n ${!file_name:-} ]]; then
		IFS= read -r -d '' value <"${!file_name}" || true
		value=${value%"${value##*[!$'\r\n']}"}
	elif [[ -v $1 ]]; then
		value=${!1}
	# Nearly always there is no key but one.
	elif [[ $1 != *_PREVIOUS && " ${missing[*]} " != *" $1 "* ]]; then
		missing+=("$1")
	fi
}

# is_given NAME: whether NAME or NAME_FILE is set, and not empty.
is_given() {
	local file_name=$1_FILE
	[[ -n ${!1:-}${!file_name:-} ]]
}

# encode TEXT: sets `encoded` to TEXT as a part of a URL: all but letters, digits and -._~ as %XX.
encode() {
	local LC_ALL=C text=$1 byte code i
	encoded=''
	for ((i = 0; i < ${#text}; i++)); do
		byte=${text:i:1}
		if [[ $byte != [A-Za-z0-9._~-] ]]; then
			printf -v code %d "'$byte"
			printf -v byte '%%%02X' "$((code & 255))"
		fi
		encoded+=$byte
	done
}

# part NAME [DEFAULT]: sets `encoded` to what NAME holds, or else to DEFAULT, as a part of a URL.
part() {
	value=${2:-}
	if (($# == 1)) || is_given "$1"; then
		value_of "$1"
	fi
	encode "$value"
}

# place KIND PORT: sets `place` to where KIND_HOST and KIND_PORT say, PORT by default.
place() {
	part "$1_HOST"
	# A colon in a host is an IPv6 address.
	[[ $value != *:* ]] || encoded="[$value]"
	place=$encoded
	part "$1_PORT" "$2"
	place+=:$encoded
}

# database_url [SCHEME]: sets `value` to DATABASE_URL, or to what the POSTGRES_... make.
database_url() {
	local url place
	if is_given DATABASE_URL; then
		value_of DATABASE_URL
		[[ -z ${1:-} ]] || value=$1://${value#*://}
		return
	fi
	part POSTGRES_USER
	url=${1:-postgresql}://$encoded
	part POSTGRES_PASSWORD ''
	url+=${encoded:+:$encoded}
	place POSTGRES 5432
	url+=@$place
	part POSTGRES_DB
	value=$url/$encoded
}

# redis_url KIND NUMBER: sets `value` to what KIND_HOST, KIND_PORT and KIND_PASSWORD make.
redis_url() {
	local login place
	part "$1_PASSWORD" ''
	login=${encoded:+:$encoded@}
	place "$1" 6379
	value=redis://$login$place/${2:-0}
}

# stands_for WHAT: sets `value` to what {WHAT} in APP_READS stands for.
stands_for() {
	local detail=''
	[[ $1 != *:* ]] || detail=${1#*:}
	if [[ $1 == database_url || $1 =~ ^database_url:[a-z][a-z0-9+.-]*$ ]]; then
		database_url "$detail"
	elif [[ $1 =~ ^redis_url(:[0-9]+)?$ ]]; then
		redis_url REDIS "$detail"
	elif [[ $1 =~ ^broker_url(:[0-9]+)?$ ]]; then
		# Where nothing but a cache is, that is the broker.
		if is_given BROKER_HOST; then redis_url BROKER "$detail"; else redis_url REDIS "$detail"; fi
	elif [[ $1 =~ ^[A-Z_][A-Za-z0-9_]*$ ]]; then
		value_of "$1"
	else
		die "APP_READS has {$1}: write {NAME}, {database_url}, {redis_url}, {broker_url}, or {{ for a brace"
	fi
}

# filled_in TEXT: sets `value` to TEXT with what its {...} stand for.
filled_in() {
	local rest=$1 text=''
	while [[ $rest =~ ^([^{]*)\{(\{|([^}]*)\})(.*)$ ]]; do
		text+=${BASH_REMATCH[1]}
		rest=${BASH_REMATCH[4]}
		if [[ ${BASH_REMATCH[2]} == '{' ]]; then
			text+='{'
		else
			stands_for "${BASH_REMATCH[3]}"
			text+=$value
		fi
	done
	[[ $rest != *\{* ]] || die "APP_READS has ${rest#"${rest%%\{*}"} without its }; {{ is a brace"
	value=$text$rest
}

# by_itself NAME: sets `text` to what NAME alone in APP_READS is short for.
by_itself() {
	text="{$1}"
	is_given "$1" || case $1 in
	DATABASE_URL) text='{database_url}' ;;
	REDIS_URL) text='{redis_url}' ;;
	CELERY_BROKER_URL) text='{broker_url}' ;;
	esac
}

# hand_over: exports what APP_READS names. HANDED_OVER tells db.py what a user has set instead.
hand_over() {
	local word name text value encoded origin=''
	local -a missing=() WORDS=()
	local -A handed=()
	[[ ${APP_READS:-} == *[![:space:]]* ]] || return 0
	split_words APP_READS
	for word in "${WORDS[@]}"; do
		name=${word%%=*}
		[[ $name =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] ||
			die "APP_READS has $word, which is neither NAME nor NAME=TEXT"
		if [[ $word == *=* ]]; then text=${word#*=}; else by_itself "$name"; fi
		filled_in "$text"
		handed[$name]=$value
	done
	((${#missing[@]} == 0)) ||
		die "APP_READS needs ${missing[*]}: set each in the environment, or its file in NAME_FILE"
	for name in "${!handed[@]}"; do
		text=${name}_FILE
		if [[ -n ${!text:-} ]]; then origin+=" $text"; elif ! is_given "$name"; then origin+=" $name"; fi
		declare -gx "$name=${handed[$name]}"
		unset "$text"
	done
	export HANDED_OVER=$origin
	unset APP_READS
}
