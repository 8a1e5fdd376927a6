#!/bin/sh
# Optuna chooses the settings of one run after the other, by what the runs before it came to. Several of these
# may work on one study, side by side or on several machines that share a database:
#
#     pip install optuna && sh docs/worked/optuna.sh 20 --steps 200
#
# The first argument is the number of runs, the others are flags of `unheat train` for all of them. The runs go
# to optuna/, the study to optuna.db.
set -eu
runs=$1
shift
export PYTHONWARNINGS=ignore OPTUNA_STORAGE="${OPTUNA_STORAGE:-sqlite:///optuna.db}"
study=unheat
mkdir -p optuna
space='{
    "lr": {"name": "FloatDistribution", "attributes": {"low": 1e-4, "high": 1e-2, "log": true}},
    "filters": {"name": "CategoricalDistribution", "attributes": {"choices": [8, 16, 32]}}
}'
optuna --quiet create-study --study-name $study --direction minimize --skip-if-exists
for _ in $(seq "$runs"); do
    asked=$(optuna --quiet ask --study-name $study --sampler TPESampler --search-space "$space" --format json)
    # {"number": 0, "params": {"lr": 0.001, "filters": 16}}
    number=$(printf '%s' "$asked" | python3 -c 'import json, sys; print(json.load(sys.stdin)["number"])')
    flags=$(printf '%s' "$asked" |
        python3 -c 'import json, sys; print(*(f"--{k}={v}" for k, v in json.load(sys.stdin)["params"].items()))')
    # shellcheck disable=SC2086 # one word per flag
    if unheat train $flags "$@" -o "optuna/$number" >"optuna/$number.log" 2>&1; then
        # The x loss, as the mean of the last ten steps.
        loss=$(tail -n 10 "optuna/$number/metrics.csv" | awk -F, '{ sum += $3 } END { print sum / NR }')
        optuna --quiet tell --study-name $study --trial-number "$number" --values "$loss"
        echo "run $number: $flags: loss $loss"
    else
        optuna --quiet tell --study-name $study --trial-number "$number" --state fail
        echo "run $number: $flags: $(tail -n 1 "optuna/$number.log")"
    fi
done
optuna --quiet best-trial --study-name $study --format yaml
