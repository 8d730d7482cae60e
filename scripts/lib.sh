# Shared by the scripts beside it; sourced, never run.
# shellcheck shell=bash

# say MESSAGE...: one line to stderr, named after the script that speaks.
say() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# die MESSAGE...: a mistake that the user can fix; exit status 2.
die() {
	say "$@"
	exit 2
}

# is_on NAME: whether the switch NAME is set to 1, true, yes or on.
is_on() {
	case ${!1:-} in
	1 | true | yes | on) return 0 ;;
	'' | 0 | false | no | off) return 1 ;;
	*) die "$1=${!1} is neither on nor off; set it to 1 or leave it empty" ;;
	esac
}

# require NAME...: every variable set and not empty, or one message with all that are missing.
require() {
	local name missing=()
	for name in "$@"; do
		[[ -n ${!name:-} ]] || missing+=("$name")
	done
	((${#missing[@]} == 0)) || die "needs ${missing[*]}; set ${missing[*]} in the environment"
}

# require_number NAME...: each a whole number, without a sign.
require_number() {
	local name
	for name in "$@"; do
		[[ ${!name} =~ ^[0-9]{1,9}$ ]] || die "$name=${!name} is not a whole number"
	done
}

# check_file_env NAME: ends us where NAME and NAME_FILE contradict, or that file can't be read.
check_file_env() {
	local name=$1 file_name=$1_FILE
	local path=${!file_name:-}
	[[ -n $path ]] || return 0
	[[ -z ${!name:-} ]] || die "both $name and $file_name are set; keep one of them"
	# Compose has /dev/null where there is none.
	[[ -r $path && ! -d $path ]] || die "cannot read $path, which $file_name names"
}

# file_env NAME: sets NAME from NAME or from the file that NAME_FILE names (trailing newlines
# stripped). What came from a file is not exported: children get the path, not the secret.
file_env() {
	local name=$1 file_name=$1_FILE
	local path=${!file_name:-} value
	check_file_env "$name"
	[[ -n $path ]] || return 0
	value=$(<"$path")
	export -n "${name?}"
	printf -v "$name" %s "$value"
}

# split_words NAME: fills the array WORDS from the variable NAME. Blanks separate words; '...',
# "..." and \x quote, as in a shell. Nothing is expanded: no variables, no globs, no commands.
split_words() {
	local rest=${!1} word='' begun='' piece
	local plain=$'^[^ \t\n\'"\\\\]+' quoted=$'^(\'[^\']*\'|"([^"\\\\]|\\\\.)*"|\\\\.)'
	WORDS=()
	while [[ -n $rest ]]; do
		if [[ $rest =~ $plain || $rest =~ $quoted ]]; then
			piece=${BASH_REMATCH[0]}
			rest=${rest:${#piece}}
			case $piece in
			"'"*) piece=${piece:1:-1} ;;
			'"'*)
				piece=${piece:1:-1}
				# A backslash that is quoted quotes nothing.
				piece=${piece//\\\\/$'\1'} piece=${piece//\\\"/\"} piece=${piece//$'\1'/\\}
				;;
			\\*) piece=${piece:1} ;;
			esac
			word+=$piece begun=1
		elif [[ $rest == [\'\"\\]* ]]; then
			die "$1=${!1} has a quote that is not closed"
		else
			[[ -z $begun ]] || WORDS+=("$word")
			word='' begun='' rest=${rest:1}
		fi
	done
	[[ -z $begun ]] || WORDS+=("$word")
	((${#WORDS[@]})) || die "$1 names no command"
}

# split_commands NAME: as split_words, with --then, which db.py knows, for each && between commands;
# fails where NAME is empty.
split_commands() {
	local name=$1 index
	[[ ${!name:-} == *[![:space:]]* ]] || return 1
	split_words "$name"
	for index in "${!WORDS[@]}"; do
		[[ ${WORDS[index]} != '&&' ]] || WORDS[index]=--then
	done
}

# cpus: how many CPUs this container may use, rounded up: its quota, or the CPUs it may run on.
cpus() {
	local root=${CGROUP_ROOT:-/sys/fs/cgroup} quota=max period=0 count allowed
	count=$(nproc)
	if [[ -r $root/cpu.max ]]; then
		read -r quota period <"$root/cpu.max"
	elif [[ -r $root/cpu/cpu.cfs_quota_us ]]; then
		read -r quota <"$root/cpu/cpu.cfs_quota_us"
		read -r period <"$root/cpu/cpu.cfs_period_us"
	fi
	if [[ $quota =~ ^[0-9]+$ && $period =~ ^[1-9][0-9]*$ ]]; then
		allowed=$(((quota + period - 1) / period))
		((allowed >= count)) || count=$allowed
	fi
	printf '%s\n' "$((count > 0 ? count : 1))"
}
