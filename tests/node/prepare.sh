# shellcheck shell=bash
# What the node needs on this machine, for tests/node/run and tests/lab. Source tests/vfio/machine.sh first.

NODE_CACHE=$CACHE/node
NODE_DIR=$REPOSITORY/tests/node
# Of one run at a time.
CLUSTER_FOLDER=$NODE_CACHE/run
TARGET=${CARGO_TARGET_DIR:-$REPOSITORY/target}/debug
NODE_IMAGES=$NODE_CACHE/images
NODE_FAKES=$NODE_CACHE/fakes
export CLUSTER_FOLDER NODE_IMAGES NODE_FAKES

# What the folder of the real KubeVirt must hold; docs/lab.md says how it is filled.
KUBEVIRT_FILES=(virt-api virt-controller sidecar-shim virt-handler.tar virt-launcher.tar crds.yaml)

# Ends the run where something is missing: a run that was asked for the real KubeVirt never takes the fake.
kubevirt_check() {
    local file missing=()
    [ -n "${KUBEVIRT_ASSETS:-}" ] || return 0
    KUBEVIRT_ASSETS=$(readlink -f "$KUBEVIRT_ASSETS") && [ -d "$KUBEVIRT_ASSETS" ] ||
        give_up "KUBEVIRT_ASSETS is not a folder: unset it for the fake KubeVirt, or fill it as docs/lab.md says"
    for file in "${KUBEVIRT_FILES[@]}"; do [ -s "$KUBEVIRT_ASSETS/$file" ] || missing+=("$file"); done
    [ ${#missing[@]} -eq 0 ] ||
        give_up "KUBEVIRT_ASSETS=$KUBEVIRT_ASSETS lacks ${missing[*]}: unset it for the fake KubeVirt, or fill it as docs/lab.md says"
    export KUBEVIRT_ASSETS
}

install_node_packages() {
    set -e
    "${APT[@]}" update
    "${APT[@]}" install -y --no-install-recommends runc containernetworking-plugins e2fsprogs iproute2 libcap2-bin
}

node_packages_complete() {
    local package
    for package in runc containernetworking-plugins e2fsprogs iproute2 libcap2-bin; do has_package "$package" || return 1; done
}

# Everything but the node itself: packages, programs, images.
node_prepare() {
    kubevirt_check
    machine_install
    if ! node_packages_complete; then
        say "node: installing runc and CNI plugins"
        apt_locked install_node_packages
        node_packages_complete || give_up "runc or containernetworking-plugins is missing; see $LAB_CACHE/install.log"
    fi
    KUBEBUILDER_ASSETS=$("$REPOSITORY/tests/cluster/build" --with node --with helm) || return 1
    # The folder of what was built comes last.
    HELM=${KUBEBUILDER_ASSETS##*:}/helm
    export KUBEBUILDER_ASSETS HELM
    "$REPOSITORY/tests/programs" >/dev/null || return 1
    mkdir -p "$NODE_CACHE"
    exec 7>"$NODE_CACHE/lock"
    flock -w 1800 7 || give_up "another node has held $NODE_CACHE/lock for half an hour"
    rm -rf "$CLUSTER_FOLDER" "$NODE_IMAGES"
    mkdir -p "$CLUSTER_FOLDER" "$NODE_IMAGES"
    # Every byte of it is read through the emulated machine.
    strip -o "$NODE_FAKES" "$TARGET/node-fakes" && strip -o "$NODE_IMAGES/hook-client" "$TARGET/hook-client" &&
        strip -o "$NODE_IMAGES/virt-launcher-monitor" "$TARGET/fake-virt-launcher-monitor" || return 1
    "$NODE_DIR/images" "$NODE_IMAGES" >"$NODE_CACHE/images.log" || return 1
    cp "$(kernel_image)" "$NODE_IMAGES/guest-kernel" && guest_image "$NODE_IMAGES/guest.cpio" || return 1
    if [ -n "${KUBEVIRT_ASSETS:-}" ]; then
        "$NODE_DIR/kubevirt-images" "$NODE_IMAGES" >>"$NODE_CACHE/images.log" || return 1
    fi
}

# Nothing of the node stays but its logs.
node_tidy() {
    "$NODE_DIR/machine" --stop "$CLUSTER_FOLDER/machine"
    rm -rf "$NODE_CACHE/log"
    mkdir -p "$NODE_CACHE/log"
    find "$CLUSTER_FOLDER" -name '*.log' -exec cp -t "$NODE_CACHE/log" {} + 2>/dev/null
    rm -rf "$CLUSTER_FOLDER" "$NODE_IMAGES"
}
