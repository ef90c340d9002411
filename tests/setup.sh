#!/usr/bin/env bash
# Installs what the tests need by apt-get, as root on a Debian machine; elsewhere says what is
# missing and fails. `check` asks only for what the quick tests use. Where there is no nvcc, it comes
# from PyPI below BUILD; without it the CUDA backend's tests are skipped.
set -u
cd "$(dirname "$0")/.." || exit 1

# what shows that it is there (a command or a file) | Debian package
needs='
g++                                       | g++
/usr/include/gtest/gtest.h                | libgtest-dev
pkg-config                                | pkgconf
readelf                                   | binutils
'
[ "${1:-test}" = check ] || needs=$needs'
abidw                                     | abigail-tools
clang                                     | clang
clang-tidy                                | clang-tidy
clang-format                              | clang-format
/usr/lib/llvm-14/lib/clang/*/lib/linux/*  | libclang-rt-14-dev
valgrind                                  | valgrind
mpicc                                     | libopenmpi-dev
mpirun                                    | openmpi-bin
python3                                   | python3
strace                                    | strace
setarch                                   | util-linux
git                                       | git
mandoc                                    | mandoc
/usr/include/glpk.h                       | libglpk-dev
'

# Where make looks for it.
has_nvcc() {
    command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ] ||
        compgen -G "${BUILD:-build}/cuda/lib/python3*/site-packages/nvidia/cu13/bin/nvcc" >/dev/null
}
wheels=
if [ "${1:-test}" != check ] && ! has_nvcc; then
    wheels=1
    needs=$needs'
/usr/lib/python3*/ensurepip               | python3-venv
'
fi

missing() {
    while IFS='|' read -r sign package; do
        sign=${sign//[[:space:]]/}
        package=${package//[[:space:]]/}
        [ -n "$sign" ] || continue
        case $sign in
        /*) compgen -G "$sign" >/dev/null ;;
        *) command -v "$sign" >/dev/null ;;
        esac || echo "$package"
    done <<<"$needs"
}

# The end, where no package is missing.
finish() {
    [ -n "$wheels" ] || exit 0
    echo "installing: nvcc from PyPI (make cuda-wheels)"
    timeout 400 make --no-print-directory -s BUILD="${BUILD:-build}" cuda-wheels >/dev/null 2>&1
    has_nvcc || echo "that failed: the CUDA backend is not built and not tested"
    exit 0
}

packages=$(missing | sort -u | tr '\n' ' ')
[ -z "$packages" ] && finish

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing: $packages"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages; } \
        >/tmp/sluice-setup.$$ 2>&1 || tail -n 20 /tmp/sluice-setup.$$
    rm -f /tmp/sluice-setup.$$
    hash -r
    packages=$(missing | sort -u | tr '\n' ' ')
    [ -z "$packages" ] && finish
fi
echo "the tests need these Debian packages: $packages"
echo "as root: apt-get install --no-install-recommends $packages"
exit 1
