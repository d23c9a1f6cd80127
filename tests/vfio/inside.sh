# shellcheck shell=bash
# What the world around launcher-hook does, done inside the machine (L1): the SR-IOV CNI (MAC and
# VLAN of a VF), the device plugin (variables), KubeVirt (VMI, domain, network-info) and virt-handler.
#
# Sourced by the scenarios and by the lab's shell. Needs SHARED (the folder brought out) to be set.

PF=0000:01:00.0
# Behind a port without ACS: all functions of this card are in one IOMMU group.
CROWDED_PF=0000:02:00.0
VF_A=0000:01:10.0
VF_B=0000:01:10.2
VF_C=0000:01:10.4
MAC_A=de:ad:00:00:be:01
# Network b is a tagged one: who gets the wrong VF cannot ping.
MAC_B=de:ad:00:00:be:03
VLAN_B=100
RESOURCE=intel.com/sriov_vfio
RESOURCE_VARIABLE=PCIDEVICE_INTEL_COM_SRIOV_VFIO
RUN=/run/lab
export LIBVIRT_DEFAULT_URI=qemu:///system

# What a scenario ends with that is not to blame; see a_guest_is_lost.
LOST=75

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    a_guest_is_lost && exit $LOST
    exit 1
}

# The emulated processor under KVM can lose EFER, rarely, when it is interrupted: then QEMU's registers show what no
# 64-bit kernel can have, paging without the switch for 64 bits, and the guest does nothing.
a_guest_is_lost() {
    local name registers
    for name in $(timeout 20 virsh list --name 2>/dev/null); do
        registers=$(timeout 20 virsh qemu-monitor-command "$name" --hmp 'info registers' 2>/dev/null)
        case $registers in *CR0=[89a-f]*CR4=00000000*EFER=0000000000000000*)
            printf 'the emulator has lost EFER of %s\n' "$name" >&2
            return 0
            ;;
        esac
    done
    return 1
}

# wait_for SECONDS WHAT COMMAND…
wait_for() {
    local seconds=$1 what=$2 end
    shift 2
    end=$((SECONDS + seconds))
    until ("$@") >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || fail "waited $seconds s for $what"
        sleep 0.2
    done
}

# --- the card ---------------------------------------------------------------

# Creating VFs resets the PF: VFs first, then the PF up, then the MACs.
cards_up() {
    local pf
    modprobe -a kvm-amd igb 8021q || fail "no modules for this kernel"
    for pf in $PF $CROWDED_PF; do
        [ -d "/sys/bus/pci/devices/$pf/net" ] || fail "no igb at $pf"
        echo 0 >"/sys/bus/pci/devices/$pf/sriov_drivers_autoprobe"
    done
    vfs_make $PF 4
    ip addr add 10.9.1.1/24 dev "$(pf_interface)"
    ip link add link "$(pf_interface)" name tagged type vlan id $VLAN_B
    ip addr add 10.9.3.1/24 dev tagged
    ip link set tagged up
}

# vfs_make PF COUNT; drivers are for the caller to choose.
vfs_make() {
    echo "$2" >"/sys/bus/pci/devices/$1/sriov_numvfs" || fail "no $2 VFs on $1"
    ip link set "$(pf_interface "$1")" up
}

pf_interface() { ls "/sys/bus/pci/devices/${1:-$PF}/net" | head -n 1; }

# The number of a VF on its PF, as `ip link set PF vf N` wants it.
vf_number() {
    local link
    for link in "/sys/bus/pci/devices/$1/physfn/virtfn"*; do
        [ "$(basename "$(readlink "$link")")" = "$1" ] && echo "${link##*virtfn}" && return
    done
    fail "$1 is not a VF"
}

vf_driver() { basename "$(readlink "/sys/bus/pci/devices/$1/driver" 2>/dev/null)" 2>/dev/null; }

# vf_bind VF DRIVER, or VF "" for none.
vf_bind() {
    local device=/sys/bus/pci/devices/$1
    [ -z "$2" ] || [ "$(vf_driver "$1")" != "$2" ] || return 0
    [ ! -e "$device/driver" ] || echo "$1" >"$device/driver/unbind"
    # Otherwise loading the module that was asked for last would bind it.
    echo >"$device/driver_override"
    [ -n "$2" ] || return 0
    modprobe "$2" || fail "no module $2"
    echo "$2" >"$device/driver_override"
    echo "$1" >/sys/bus/pci/drivers_probe
    [ "$(vf_driver "$1")" = "$2" ] || fail "$1 does not bind to $2"
}

# What the SR-IOV CNI does for one network: cni_add VF MAC [VLAN]
cni_add() {
    vf_bind "$1" vfio-pci
    ip link set "$(pf_interface)" vf "$(vf_number "$1")" mac "$2" vlan "${3:-0}" || fail "cannot set MAC $2 on $1"
}

vf_group() { basename "$(readlink "/sys/bus/pci/devices/$1/iommu_group")"; }

# --- what a pod would find --------------------------------------------------

# The device plugin's variables for these devices, in this order: plugin_variables VF…
plugin_variables() {
    local vf list='' info=''
    for vf in "$@"; do
        list+="${list:+,}$vf"
        info+="${info:+,}\"$vf\":{\"generic\":{\"deviceID\":\"$vf\"},\"vfio\":{\"dev-mount\":\"/dev/vfio/$(vf_group "$vf")\",\"mount\":\"/dev/vfio/vfio\"}}"
    done
    echo "$RESOURCE_VARIABLE=$list"
    echo "${RESOURCE_VARIABLE}_INFO={$info}"
    echo "SRIOV_NETWORK_RESOURCES=$(networks_to_resource)"
}

# What the webhook writes for the two networks of the scenarios.
networks_to_resource() { printf '{"lab/net-a":"%s","lab/net-b":"%s"}' "$RESOURCE" "$RESOURCE"; }

# network_info NETWORK=VF=MAC…: what virt-controller writes once Multus has reported.
network_info() {
    local entry network vf mac out=''
    for entry in "$@"; do
        IFS== read -r network vf mac <<<"$entry"
        out+="${out:+,}{\"network\":\"$network\",\"deviceInfo\":{\"type\":\"pci\",\"version\":\"1.1.0\",\"pci\":{\"pci-address\":\"$vf\"}},\"mac\":\"$mac\"}"
    done
    printf '{"interfaces":[%s]}' "$out"
}

# vmi NETWORK=MAC[=BOOTORDER[=PCIADDRESS]]…: each network NAME is on the NAD lab/NAME.
vmi() {
    local entry network mac boot address interfaces='' networks=''
    for entry in "$@"; do
        IFS== read -r network mac boot address <<<"$entry"
        interfaces+=",{\"name\":\"$network\",\"sriov\":{},\"macAddress\":\"$mac\"${boot:+,\"bootOrder\":$boot}${address:+,\"pciAddress\":\"$address\"}}"
        networks+=",{\"name\":\"$network\",\"multus\":{\"networkName\":\"$network\"}}"
    done
    cat <<VMI
{"kind":"VirtualMachineInstance","apiVersion":"kubevirt.io/v1",
"metadata":{"name":"guest","namespace":"lab","uid":"f4686d2c-6e8d-4335-b8fd-81bee22f4814"},
"spec":{"domain":{"devices":{"interfaces":[{"name":"default","masquerade":{}}$interfaces]}},
"networks":[{"name":"default","pod":{}}$networks]}}
VMI
}

# networks_annotation NETWORK=MAC…: the selections in order, as virt-controller writes them.
networks_annotation() {
    local entry out='' number=0
    for entry in "$@"; do
        number=$((number + 1))
        out+="${out:+,}{\"name\":\"${entry%%=*}\",\"namespace\":\"lab\",\"mac\":\"${entry#*=}\",\"interface\":\"net$number\"}"
    done
    printf '[%s]' "$out"
}

# nads NETWORK=RESOURCE…: the NADs lab/NETWORK.
nads() {
    local entry
    for entry in "$@"; do
        cat <<NAD
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata:
  name: ${entry%%=*}
  namespace: lab
  annotations:
    k8s.v1.cni.cncf.io/resourceName: ${entry#*=}
NAD
    done
}

# pod ANNOTATION-OF-NETWORKS NETWORK=MAC…: KubeVirt's pod, as much of it as anybody looks at.
pod() {
    local networks=$1 entry selections='' status='{"name":"podnet","interface":"eth0","default":true}'
    shift
    for entry in "$@"; do
        # As an SR-IOV CNI reports it that knows of no device-info.
        status+=",{\"name\":\"lab/${entry%%=*}\",\"interface\":\"$(interface_name "${entry%%=*}")\",\"mac\":\"${entry#*=}\"}"
        selections+="${selections:+,}{\"name\":\"${entry%%=*}\",\"namespace\":\"lab\",\"mac\":\"${entry#*=}\",\"interface\":\"$(interface_name "${entry%%=*}")\"}"
    done
    cat <<POD
apiVersion: v1
kind: Pod
metadata:
  name: virt-launcher-guest
  namespace: lab
  labels: {kubevirt.io: virt-launcher}
  annotations:
    k8s.v1.cni.cncf.io/networks: '[$selections]'
    k8s.v1.cni.cncf.io/network-status: '[$status]'
    kubevirt-sriov.io/networks: '$networks'
spec:
  volumes:
    - name: network-info-annotation
      downwardAPI:
        items:
          - path: network-info
            fieldRef: {fieldPath: "metadata.annotations['kubevirt.io/network-info']"}
  containers:
    - name: compute
      command: [/usr/bin/virt-launcher-monitor, --name, guest, --hook-sidecars, "0"]
      volumeMounts:
        - {name: network-info-annotation, mountPath: /etc/podinfo}
POD
}

# What KubeVirt calls a network's interface in the pod.
interface_name() { echo "pod$(printf %s "$1" | sha256sum | cut -c 1-11)"; }

# A domain as KubeVirt hands it to the hooks, small enough to boot under emulation: domain NAME [kernel arguments]
domain() {
    cat <<DOMAIN
<domain type="kvm">
	<name>$1</name>
	<uuid>5d307ca9-b3ef-428c-8861-06e72d69f223</uuid>
	<memory unit="MiB">96</memory>
	<os>
		<type arch="x86_64" machine="q35">hvm</type>
		<kernel>$SHARED/guest-kernel</kernel>
		<initrd>$SHARED/guest.cpio</initrd>
		<cmdline>console=ttyS0 quiet panic=-1 mitigations=off nokaslr cryptomgr.notests random.trust_cpu=on ${2:-}</cmdline>
	</os>
	<devices>
		<controller type="usb" index="0" model="none"></controller>
		<serial type="file">
			<target port="0"></target>
			<source path="$RUN/$1.serial"></source>
		</serial>
		<memballoon model="none"></memballoon>
	</devices>
	<metadata>
		<kubevirt xmlns="http://kubevirt.io">
			<uid></uid>
		</kubevirt>
	</metadata>
	<features>
		<acpi></acpi>
	</features>
	<cpu mode="host-passthrough"></cpu>
	<vcpu placement="static">1</vcpu>
</domain>
DOMAIN
}

# --- launcher-hook ----------------------------------------------------------

# hook_define DOMAIN [OPTION…]: the domain with its VFs, from the files in $RUN.
hook_define() {
    local domain=$1
    shift
    "$LAUNCHER_HOOK" define --vmi $RUN/vmi.json --domain "$domain" --network-info $RUN/network-info.json \
        --environ $RUN/environ "$@"
}

# --- libvirt ----------------------------------------------------------------

libvirt_configure() {
    mkdir -p $RUN /etc/libvirt/hooks /etc/podinfo
    mkdir -p /var/lib/libvirt
    mount -t tmpfs tmpfs /var/lib/libvirt
    mkdir -p /var/lib/libvirt/qemu /var/cache/libvirt /var/log/libvirt
    # libvirt looks its packaged user up before it reads that it should not use it.
    grep -q ^libvirt-qemu: /etc/passwd || echo 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/bin/false' >>/etc/passwd
    grep -q ^libvirt-qemu: /etc/group || echo 'libvirt-qemu:x:64055:' >>/etc/group
    printf '%s\n' 'user = "root"' 'group = "root"' 'security_driver = "none"' 'cgroup_controllers = []' \
        'namespaces = []' 'remember_owner = 0' >/etc/libvirt/qemu.conf
    printf '%s\n' 'auth_unix_rw = "none"' 'log_outputs = "2:file:/run/lab/libvirtd.log"' >/etc/libvirt/libvirtd.conf
}

# libvirt_start [VARIABLE=VALUE…]: libvirtd in a process tree of its own, whose process 1 has these
# variables, as in a virt-launcher pod. That process also collects what libvirt's QEMUs leave
# behind: virtme's init does not, and libvirt waits 40 s for each process that nobody collects.
# Hooks are found only when the daemon starts: start it again after installing one.
libvirt_start() {
    libvirt_stop
    # shellcheck disable=SC2016
    env -i PATH="$PATH" "$@" unshare --fork --pid --mount-proc --kill-child=KILL \
        sh -c 'virtlogd -d; libvirtd -d; while sleep 0.5; do :; done' </dev/null >>$RUN/pod.log 2>&1 &
    echo $! >$RUN/pod.pid
    disown
    wait_for 60 "libvirt's socket" test -S /run/libvirt/libvirt-sock
    wait_for 90 "libvirt's first answer" virsh list
}

# Ends libvirt and every guest with it: killing process 1 of a process tree ends the tree.
libvirt_stop() {
    [ ! -e $RUN/pod.pid ] || kill -9 "$(cat $RUN/pod.pid)" 2>/dev/null
    rm -rf $RUN/pod.pid /run/libvirt /run/libvirtd.pid /run/virtlogd.pid
    wait_for 30 "libvirt to end" sh -c '! pgrep -x "libvirtd|virtlogd"'
}

# With a terminal at hand virsh would look for polkit, and say each time that there is none.
virsh() { setsid -w virsh --quiet "$@"; }

# guest_start FILE: defines and starts, the way KubeVirt does.
guest_start() {
    local name
    name=$(sed -n 's|.*<name>\(.*\)</name>.*|\1|p' "$1" | head -n 1)
    rm -f "$RUN/$name.serial"
    virsh define "$1" >/dev/null || fail "libvirt does not define $1"
    virsh start "$name" >/dev/null || fail "libvirt does not start $name"
}

# guest_ends NAME: waits until it has powered off.
guest_ends() { wait_for 60 "$1 to power off" sh -c "[ \"\$(setsid -w virsh --quiet domstate $1)\" = 'shut off' ]"; }

# guest_says NAME PATTERN [SECONDS]: waits for a line of guest-init, prints it.
guest_says() {
    wait_for "${3:-120}" "$1 to say '$2' (it said: $(tail -n 3 "$RUN/$1.serial" 2>/dev/null))" grep -qE "guest: $2" "$RUN/$1.serial"
    grep -E "guest: $2" "$RUN/$1.serial" | tr -d '\r'
}

guests_destroy() {
    local name
    for name in $(virsh list --all --name 2>/dev/null); do
        virsh destroy "$name" >/dev/null 2>&1
        virsh undefine --managed-save "$name" >/dev/null 2>&1
    done
}

qtree() { virsh qemu-monitor-command "$1" --hmp 'info qtree'; }

# qtree_has NAME VF ALIAS: QEMU holds that VF under that alias.
qtree_has() {
    qtree "$1" >"$RUN/qtree"
    grep -A 3 "dev: vfio-pci, id \"$3\"" "$RUN/qtree" | grep -q "host = \"$2\"" ||
        fail "QEMU's device tree has no $2 under $3: $(grep -A 3 'dev: vfio-pci' "$RUN/qtree")"
}

# same_file WHAT FILE FILE
same_file() { diff -u "$2" "$3" >&2 || fail "$1"; }

expect_equal() { [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"; }

expect_line() { printf '%s\n' "$3" | grep -qE "$2" || fail "$1: no line like '$2' in: $3"; }
