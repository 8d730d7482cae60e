#! /usr/bin/env bash
set -e
set -x

python app/backend_pre_start.py

bash scripts/test.sh "$@"
