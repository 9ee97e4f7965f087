# Sourced by the other scripts: looks for Swift and the system packages, and installs the packages that are missing.

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }

# What building needs beside Swift itself. Debian package : a file that shows that it is there.
packages=(
    git:git
    binutils:ld
    libc6-dev:/usr/include/stdio.h
    "libopenblas-dev:/usr/lib/$(uname -m)-linux-gnu/libopenblas.so"
    liblapacke-dev:/usr/include/lapacke.h
)

require_swift() {
    command -v swift > /dev/null || die "Swift is missing: install Swift 6.3 or newer from swift.org"
    local version
    version=$(swift --version 2> /dev/null | sed -nE 's/.*Swift version ([0-9]+\.[0-9]+).*/\1/p' | head -n 1)
    [ "$(printf '6.3\n%s\n' "$version" | sort -V | head -n 1)" = 6.3 ] \
        || die "Swift ${version:-of an unknown version} is installed, 6.3 or newer is needed (swift.org)"
}

require_packages() {
    [ "$(uname)" = Linux ] || return 0
    local missing=() entry
    for entry in "${packages[@]}"; do
        local proof=${entry#*:}
        [ -e "$proof" ] || command -v "$proof" > /dev/null || missing+=("${entry%%:*}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get > /dev/null || die "these packages are missing: ${missing[*]}"
    [ "$(id -u)" = 0 ] || die "packages are missing; install them with: sudo apt-get install ${missing[*]}"
    say "installing ${missing[*]}"
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >&2 < /dev/null
}
