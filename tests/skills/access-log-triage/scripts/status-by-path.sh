#!/bin/sh
# Reads an access log in the combined format from stdin and prints, for each path, the number of
# requests, the number answered with 5xx, and their share in per cent; most failures first.
set -eu

awk '
{
    start = index($0, "\"")
    if (start == 0) next
    rest = substr($0, start + 1)
    end = index(rest, "\" ")
    if (end == 0) next
    parts = split(substr(rest, 1, end - 1), request, " ")
    if (parts < 2) next
    path = request[2]
    sub(/[?#].*/, "", path)
    while (match(path, /\/[0-9]+(\/|$)/)) {
        tail = substr(path, RSTART + RLENGTH)
        closing = substr(path, RSTART + RLENGTH - 1, 1) == "/" ? "/" : ""
        path = substr(path, 1, RSTART) ":n" closing tail
    }
    split(substr(rest, end + 2), answer, " ")
    requests[path]++
    if (answer[1] ~ /^5/) failures[path]++
}
END {
    for (path in requests)
        printf "%d\t%d\t%.1f\t%s\n", requests[path], failures[path],
            100 * failures[path] / requests[path], path
}
' | sort -t "$(printf '\t')" -k2,2nr -k1,1nr
