#!/bin/sh
# Installs what this machine lacks to build (run) or also to test (test). Quick when nothing is missing.
# Installing Debian's Dovecot must not leave a mail server running: ours is private, see tests/demo.
set -eu

build='gcc make pkg-config libc6-dev libmicrohttpd-dev libetpan-dev libjansson-dev libssl-dev libsqlite3-dev
 libgmime-3.0-dev libseccomp-dev zlib1g-dev libinih-dev uthash-dev python3 openssl ca-certificates dovecot-core dovecot-imapd
 dovecot-pop3d'
more='libcmocka-dev python3-pytest python3-jsonschema python3-yaml clang clang-format clang-tidy shellcheck curl'

case "${1:-test}" in
run) wanted=$build ;;
test) wanted="$build $more" ;;
*)
    echo "usage: deps.sh run|test" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "deps: not a Debian system; make sure these are there: $wanted" >&2
    exit 0
fi

# dpkg-query fails for packages it never heard of: those are missing, too.
# shellcheck disable=SC2086
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p') || true
missing=
for package in $wanted; do
    case "
$installed
" in
    *"
$package
"*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

echo "deps: installing$missing"
as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
        echo "deps: need root for: apt-get install$missing" >&2
        exit 1
    }
    as_root=sudo
fi

# Packages may not start services while this file says so. One that is there already is respected.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root sh -c "cat >$policy && chmod 755 $policy"
    # shellcheck disable=SC2064
    trap "$as_root rm -f $policy" EXIT
    trap 'exit 1' INT TERM HUP
fi

$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update </dev/null
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -q install -y --no-remove --no-install-recommends $missing </dev/null

# Nor at the next boot. Only when it came with us: somebody's own Dovecot is left alone.
case "$missing " in
*" dovecot-core "*)
    if command -v systemctl >/dev/null; then
        $as_root systemctl disable dovecot.service dovecot.socket >/dev/null 2>&1 || true
    fi
    ;;
esac
