# shellcheck shell=bash
# The machine with an SR-IOV card: what it needs on this host, and how it boots.
#
# QEMU emulates an Intel 82576 (igb) behind a VT-d IOMMU; the kernel inside (L1) has real VFs,
# IOMMU groups and vfio-pci. Sourced by `tests/vfio/run` and `tests/lab`; reads
# KUBEVIRT_SRIOV_CACHE and writes nothing outside that folder, but for Debian packages.
# docs/lab.md says why each odd-looking value is what it is.

VFIO_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPOSITORY=$(cd "$VFIO_DIR/../.." && pwd)
CACHE=${KUBEVIRT_SRIOV_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kubevirt-sriov}
LAB_CACHE=$CACHE/vfio
VIRTME_VERSION=1.42
MINIMUM_QEMU=8
# Beside QEMU. libxml2-utils is what virt-xml-validate runs on.
PACKAGES=(libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients libxml2-utils kmod pciutils iproute2
    busybox-static cpio file python3 python3-venv util-linux procps)
APT=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)

say() { printf '%s\n' "$*" >&2; }

give_up() {
    say "vfio lab: $*"
    exit 1
}

qemu_major() { qemu-system-x86_64 --version 2>/dev/null | sed -n 's/^QEMU emulator version \([0-9]*\).*/\1/p'; }

has_package() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Other tiers install packages at the same time: one of us at a time.
apt_locked() {
    (
        flock -w 900 9 || give_up "another run has held $LAB_CACHE/apt.lock for 15 minutes"
        "$@"
    ) 9>"$LAB_CACHE/apt.lock" >>"$LAB_CACHE/install.log" 2>&1 ||
        { tail -n 20 "$LAB_CACHE/install.log" >&2; give_up "could not install packages ($*); all of it is in $LAB_CACHE/install.log"; }
}

# The machine's own mirror, whichever way its sources are written.
mirror_of_this_release() {
    "${APT[@]}" indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        awk -v codename="$1" '$1 == codename && $2 == "main" { print $3; exit }'
}

install_missing_packages() {
    set -e
    local missing=() package codename mirror
    for package in "${PACKAGES[@]}"; do
        has_package "$package" || missing+=("$package")
    done
    # util-linux' `script` moved to a package of its own in some releases.
    command -v script >/dev/null || missing+=(bsdutils)
    "${APT[@]}" update
    if [ "$(qemu_major || echo 0)" -lt "$MINIMUM_QEMU" ] 2>/dev/null || ! has_package qemu-system-x86; then
        install_qemu
    fi
    if [ ${#missing[@]} -gt 0 ]; then
        "${APT[@]}" install -y --no-install-recommends "${missing[@]}"
    fi
}

# igb with SR-IOV came with QEMU 8.0.
install_qemu() {
    local codename mirror candidate
    candidate=$(apt-cache policy qemu-system-x86 | sed -n 's/^ *Candidate: \([0-9]*:\)\{0,1\}\([0-9]*\).*/\2/p')
    if [ "${candidate:-0}" -ge "$MINIMUM_QEMU" ]; then
        "${APT[@]}" install -y --no-install-recommends qemu-system-x86
        return
    fi
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    mirror=$(mirror_of_this_release "$codename")
    [ -n "$mirror" ] || { echo "no Debian mirror for $codename main in the sources of this machine"; return 1; }
    cat >/etc/apt/sources.list.d/kubevirt-sriov-backports.sources <<SOURCES
# Written by tests/vfio/machine.sh of kubevirt-sriov: QEMU $MINIMUM_QEMU or newer for the vfio tests.
Types: deb
URIs: $mirror
Suites: $codename-backports
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
    "${APT[@]}" update
    "${APT[@]}" install -y --no-install-recommends -t "$codename-backports" qemu-system-x86
}

packages_complete() {
    local package
    for package in qemu-system-x86 "${PACKAGES[@]}"; do
        has_package "$package" || return 1
    done
    [ "$(qemu_major)" -ge "$MINIMUM_QEMU" ] && command -v script >/dev/null
}

# The kernel is unpacked, never installed: it needs no boot entry here.
unpack_kernel() {
    set -e
    local package work
    "${APT[@]}" update
    package=$(apt-cache depends --important linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
    [ -n "$package" ] || { echo "linux-image-amd64 names no kernel package; this lab knows Debian's"; return 1; }
    work=$(mktemp -d "$LAB_CACHE/kernel.XXXXXX")
    # apt drops its rights for downloads, and that user cannot look into a private folder.
    chmod 755 "$work"
    (cd "$work" && "${APT[@]}" -o APT::Sandbox::User=root download "$package")
    dpkg -x "$work"/*.deb "$work/root"
    rm "$work"/*.deb
    depmod -b "$work/root" "${package#linux-image-}"
    rm -rf "$LAB_CACHE/kernel"
    mv "$work/root" "$LAB_CACHE/kernel"
    rm -rf "$work"
}

install_virtme() {
    set -e
    rm -rf "$LAB_CACHE/virtme"
    python3 -m venv "$LAB_CACHE/virtme"
    "$LAB_CACHE/virtme/bin/pip" install --quiet --retries 5 "virtme-ng==$VIRTME_VERSION"
}

kernel_version() { basename "$LAB_CACHE"/kernel/lib/modules/*; }

kernel_image() { ls "$LAB_CACHE"/kernel/boot/vmlinuz-* 2>/dev/null | head -n 1; }

# Everything the machine needs, installed where it is missing; exits with a reason where it cannot.
machine_install() {
    [ "$(uname -m)" = x86_64 ] || give_up "the emulated card and IOMMU need x86_64; this is $(uname -m)"
    [ "$(id -u)" -eq 0 ] || give_up "must run as root (installs packages; the machine boots from this root file system)"
    command -v apt-get >/dev/null || give_up "needs a Debian with apt-get; see docs/lab.md for what it installs"
    mkdir -p "$LAB_CACHE" || give_up "cannot make the cache folder $LAB_CACHE"
    if ! packages_complete; then
        say "vfio lab: installing QEMU and libvirt"
        apt_locked install_missing_packages
        packages_complete || give_up "packages are installed, but QEMU is $(qemu_major) (needs $MINIMUM_QEMU) or something else is missing; see $LAB_CACHE/install.log"
    fi
    if [ -z "$(kernel_image)" ]; then
        say "vfio lab: unpacking a kernel"
        apt_locked unpack_kernel
    fi
    if [ "$("$LAB_CACHE/virtme/bin/pip" show virtme-ng 2>/dev/null | sed -n 's/^Version: //p')" != "$VIRTME_VERSION" ]; then
        say "vfio lab: installing virtme-ng $VIRTME_VERSION"
        apt_locked install_virtme
    fi
}

# Where cargo puts a program of this repository that was just built: built_binary NAME
built_binary() {
    local folder
    folder=$("$REPOSITORY/tests/programs") || give_up "cargo build of $1 failed"
    echo "$folder/$1"
}

# The program under test, from LAUNCHER_HOOK_BIN or built here.
launcher_hook_binary() {
    [ -n "${LAUNCHER_HOOK_BIN:-}" ] || { built_binary launcher-hook; return; }
    [ -x "$LAUNCHER_HOOK_BIN" ] || give_up "LAUNCHER_HOOK_BIN=$LAUNCHER_HOOK_BIN is not a program"
    readlink -f "$LAUNCHER_HOOK_BIN"
}

# What else a tier wants QEMU to have, such as a network card towards this machine.
MACHINE_MORE_DEVICES=()

# What QEMU is told about the machine. Two cards: the first as on a good host, the second behind a
# port without ACS, so that all its functions share one IOMMU group.
machine_devices() {
    printf '%s ' \
        -cpu max,+svm,+npt \
        -device intel-iommu,intremap=on,aw-bits=48 \
        -device pcie-root-port,id=rp1,chassis=1,slot=1 \
        -netdev user,id=n0,restrict=on -device igb,bus=rp1,netdev=n0 \
        -device pcie-root-port,id=rp2,chassis=2,slot=2,disable-acs=on \
        -netdev user,id=n1,restrict=on -device igb,bus=rp2,netdev=n1 \
        -pidfile "$MACHINE_PIDFILE" "${MACHINE_MORE_DEVICES[@]}"
}

# A busy host can make the emulated APIC lose a one-shot timer, and with it a processor: a periodic
# one comes again. So late can the first one be that the kernel takes it for broken and panics: it must not look.
KERNEL_ARGUMENTS=(nohz=off highres=off no_timer_check)

# vng's arguments for the machine: machine_command SHARED-FOLDER [kernel arguments…].
# 2 GiB, not more; no KVM even where there is some: nested SVM is only sure under emulation.
machine_command() {
    local shared=$1 argument
    shift
    MACHINE=("$LAB_CACHE/virtme/bin/vng" -r "$(kernel_image)" --disable-kvm --user root
        --cpus 2 --memory 2G --rwdir="$shared" "--qemu-opts=$(machine_devices)")
    for argument in "${KERNEL_ARGUMENTS[@]}" "$@"; do MACHINE+=(-a "$argument"); done
}

# QEMU outlives a killed vng: end it by the process it named itself.
machine_stop() {
    local pid
    pid=$(cat "${MACHINE_PIDFILE:-/nonexistent}" 2>/dev/null) || return 0
    if [ -n "$pid" ] && grep -qz qemu-system "/proc/$pid/cmdline" 2>/dev/null; then
        kill "$pid" 2>/dev/null
        for _ in 1 2 3 4 5; do
            [ -d "/proc/$pid" ] || return 0
            sleep 1
        done
        kill -9 "$pid" 2>/dev/null
    fi
}

# machine_run SHARED-FOLDER SECONDS LOG SCRIPT-LINE [kernel arguments…]: boots, runs, powers off.
# The verdict is whatever the script wrote to the shared folder: virtme-ng's exit status and
# output are not to be trusted.
machine_run() {
    local shared=$1 seconds=$2 log=$3 line=$4
    shift 4
    machine_command "$shared" "$@"
    MACHINE+=(--verbose -- "$line")
    # vng wants a terminal, and virtme's cache stays in ours.
    HOME=$LAB_CACHE PATH=$LAB_CACHE/virtme/bin:$PATH SHELL=/bin/bash timeout --kill-after=10 "$seconds" \
        script -qec "$(printf '%q ' "${MACHINE[@]}")" "$log" </dev/null >/dev/null 2>&1
    local status=$?
    machine_stop
    [ $status -ne 124 ] || say "vfio lab: the machine was stopped after $seconds s"
}

# The guest's initramfs (L2): busybox, the modules it needs, guest-init. guest_image FILE
guest_image() {
    local file=$1 work version module path
    work=$(mktemp -d)
    version=$(kernel_version)
    mkdir -p "$work"/{bin,dev,proc,sys,modules}
    cp "$(dpkg-query -L busybox-static | grep -x '.*/bin/busybox')" "$work/bin/busybox"
    install -m 755 "$VFIO_DIR/guest-init" "$work/init"
    for module in igbvf virtio_pci net_failover virtio_net qemu_fw_cfg; do
        modprobe --set-version "$version" -d "$LAB_CACHE/kernel" --show-depends "$module" |
            sed -n 's/^insmod \([^ ]*\).*/\1/p' || return 1
    done | awk '!seen[$0]++' | while read -r path; do
        cp "$path" "$work/modules/" && basename "$path" >>"$work/modules/order"
    done
    grep -q igbvf "$work/modules/order" || return 1
    (cd "$work" && find . | cpio --quiet -o -H newc >"$file") || return 1
    rm -rf "$work"
}

# What the machine reads from its shared folder: machine_fill FOLDER LAUNCHER-HOOK
machine_fill() {
    cp -L "$2" "$1/launcher-hook" && cp "$(kernel_image)" "$1/guest-kernel" && guest_image "$1/guest.cpio" ||
        give_up "cannot fill $1 with the guest's kernel, its initramfs and launcher-hook"
}
