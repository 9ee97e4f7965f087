# Sourced by scripts that need a running server: start_server [OPTIONS] sets `url`, `server` and `work`.

infer=${INFER:-.build/release/infer}
[ -x "$infer" ] || die "there is no $infer: build it with swift build -c release --traits Server"

work=$(mktemp -d)
server=
stop_server() {
    [ -z "$server" ] || kill "$server" 2> /dev/null || true
    rm -rf "$work"
}
trap stop_server EXIT

start_server() {
    "$infer" serve --model models/fable-moe-q8_0.gguf --port 0 --cache-dir "$work/cache" "$@" 2> "$work/log" &
    server=$!
    url=
    for _ in $(seq 300); do
        url=$(sed -nE 's/.* listening at (http:.*)$/\1/p' "$work/log")
        # It listens before its model is loaded.
        if [ -n "$url" ] && grep -q ' is loaded, after ' "$work/log"; then return 0; fi
        kill -0 "$server" 2> /dev/null || { cat "$work/log" >&2; die "the server did not start"; }
        sleep 0.1
    done
    die "the server does not listen"
}

# The server must end by itself, in order, when it is told to.
end_server() {
    kill -TERM "$server"
    wait "$server" || die "the server did not end in order"
    server=
}
