# shellcheck shell=bash
# title: webhook's pod, sidecar, report of compute, hook, libvirt, ping: with device-info and without
# boot: intel_iommu=on
cni_add $VF_A $MAC_A
cni_add $VF_B $MAC_B $VLAN_B
vmi "net-a=$MAC_A" "net-b=$MAC_B" >$RUN/vmi.json
libvirt_start

cat >$RUN/read-back <<READBACK
#!/bin/sh
export LIBVIRT_DEFAULT_URI=$LIBVIRT_DEFAULT_URI
name=\$(sed -n 's|.*<name>\(.*\)</name>.*|\1|p' "\$1" | head -n 1)
setsid -w virsh --quiet define "\$1" >/dev/null && setsid -w virsh --quiet dumpxml --inactive "\$name"
READBACK
chmod +x $RUN/read-back

# The pod's volumes, each under its name.
VOLUMES=$RUN/pod
# pod_start NAME ENVIRON: from the pod before the webhook to virt-launcher in the container.
pod_start() {
    domain "$1" >$RUN/domain.xml
    "$PROGRAMS/sriov-webhook" review --networks $RUN/nads.yaml --launcher-hook compute --launcher-hook-image lab \
        --output pod $RUN/pod.yaml >"$RUN/$1.stored.yaml" || fail "the webhook refused the pod"
    rm -rf $RUN/work $VOLUMES
    mkdir -p $RUN/work
    "$PROGRAMS/fake-kubelet" "$RUN/$1.stored.yaml" $VOLUMES "$LAUNCHER_HOOK" "$2" "$PROGRAMS/fake-launcher" \
        --hooks $VOLUMES/hook-sidecar-sockets \
        --network-info $VOLUMES/launcher-hook-network-info/network-info --vmi $RUN/vmi.json \
        --domain $RUN/domain.xml --work $RUN/work --read-back $RUN/read-back --exit-code 17 \
        >"$RUN/$1.compute.log" 2>&1 &
    compute=$!
    trap 'kill -9 $compute $(cat $VOLUMES/*.pid) 2>/dev/null' EXIT
}

# guest_of_pod NAME: the domain stands and is started; each NIC is on its own network.
guest_of_pod() {
    domain_stands() { [ -e $RUN/work/ready ] || ! kill -0 $compute; }
    wait_for 120 "the domain" domain_stands
    [ -e $RUN/work/ready ] || fail "compute has ended: $(cat "$RUN/$1.compute.log")"
    expect_equal "the process of virt-launcher" "$(cat $VOLUMES/compute.pid)" "$(cat $RUN/work/pid)"
    virsh start "$1" >/dev/null || fail "libvirt does not start $1"
    qtree_has "$1" $VF_A ua-sriov-net-a
    qtree_has "$1" $VF_B ua-sriov-net-b
    guest_says "$1" "ping .* $MAC_A 10.9.1.1 4 answered"
    guest_says "$1" "ping .* $MAC_B 10.9.3.1 4 answered"
    kill -TERM $compute
    wait $compute
    expect_equal "virt-launcher's exit status" 17 $?
    expect_equal "sockets left behind" "" "$(ls $VOLUMES/hook-sidecar-sockets/launcher-hook)"
    guests_destroy
}

# With device-info: both networks on one resource, the variable in the wrong order; KubeVirt's annotation says
# which is which, some time after the container has started.
nads net-a=$RESOURCE net-b=$RESOURCE >$RUN/nads.yaml
pod "{\"net-a\":{\"nad\":\"lab/net-a\",\"sriov\":true},\"net-b\":{\"nad\":\"lab/net-b\",\"sriov\":true}}" \
    "net-a=$MAC_A" "net-b=$MAC_B" >$RUN/pod.yaml
echo "$RESOURCE_VARIABLE=$VF_B,$VF_A" >$RUN/environ
pod_start with $RUN/environ
sync_fails() { grep 'not populated' $RUN/with.compute.log || ! kill -0 $compute; }
wait_for 60 "a first start without network-info" sync_fails
kill -0 $compute || fail "compute has ended: $(cat $RUN/with.compute.log)"
network_info "net-a=$VF_A=$MAC_A" "net-b=$VF_B=$MAC_B" >$VOLUMES/launcher-hook-podinfo/network-info
guest_of_pod with

# Without: two resources, and an annotation that names no device. KubeVirt from 1.7 on would not start it.
nads net-a=$RESOURCE net-b=intel.com/other >$RUN/nads.yaml
pod "{\"net-a\":{\"nad\":\"lab/net-a\",\"sriov\":true},\"net-b\":{\"nad\":\"lab/net-b\",\"sriov\":true}}" \
    "net-a=$MAC_A" "net-b=$MAC_B" >$RUN/pod.yaml
printf '%s=%s\n' $RESOURCE_VARIABLE $VF_A PCIDEVICE_INTEL_COM_OTHER $VF_B >$RUN/environ
pod_start without $RUN/environ
guest_of_pod without
expect_line "network-info" '"network":"net-a"' "$(cat $RUN/work/network-info)"
expect_line "the helper's log" "network-info: completed: net-a=$VF_A" "$(cat $RUN/without.compute.log)"
