# Sourced by the tests of packages: each check prints one line, and the caller ends with `summary`.
# shellcheck shell=bash
passed=0 failed=0 skipped=0

check() { # NAME COMMAND...: the command must succeed; what it printed is shown when it does not
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        echo "ok       $name"
        passed=$((passed + 1))
    else
        echo "FAILED   $name"
        printf '%s\n' "$output" | sed 's/^/         | /'
        failed=$((failed + 1))
    fi
}

refused() { # WORDS COMMAND...: the command must fail, and its output hold the words
    local words=$1 output
    shift
    if output=$("$@" 2>&1); then
        echo "it succeeded: $*"
        return 1
    fi
    [[ $output == *"$words"* ]] || { echo "no \"$words\" in: $output"; return 1; }
}

same() { # WANTED COMMAND...: the command's output must be this
    local wanted=$1 output
    shift
    output=$("$@" 2>&1)
    [[ $output == "$wanted" ]] || { echo "wanted: $wanted"; echo "got:    $output"; return 1; }
}

skip() { # NAME WHY
    echo "SKIPPED  $1: $2"
    skipped=$((skipped + 1))
}

summary() { # the exit code says whether all passed
    echo "$passed passed, $failed failed, $skipped skipped"
    ((failed == 0))
}
