# shellcheck shell=bash
# title: detach and attach while running, found by alias
# boot: intel_iommu=on
cni_add $VF_A $MAC_A
cni_add $VF_B $MAC_B $VLAN_B
vmi "net-a=$MAC_A" "net-b=$MAC_B" >$RUN/vmi.json
network_info "net-a=$VF_A=$MAC_A" "net-b=$VF_B=$MAC_B" >$RUN/network-info.json
plugin_variables $VF_A $VF_B >$RUN/environ
domain six lab.stay >$RUN/domain.xml
hook_define $RUN/domain.xml >$RUN/six.xml || fail "define refused"
libvirt_start
guest_start $RUN/six.xml
guest_says six watching

# As virt-launcher does before a migration: by alias, and only that one goes.
virsh detach-device-alias six ua-sriov-net-a --live >/dev/null || fail "libvirt does not find the alias"
# A guest may miss the button of its slot. Pressed again within five seconds it would mean the contrary.
for _ in 1 2; do
    (guest_says six "gone " 40) && break
    echo "asking the guest once more"
    virsh detach-device-alias six ua-sriov-net-a --live >/dev/null || break
done
guest_says six "gone "
aliases() { virsh dumpxml six | grep -o "ua-sriov-[a-z-]*" | sort | tr '\n' ' '; }
wait_for 30 "libvirt to forget the device" eval '[ "$(aliases)" = "ua-sriov-net-b " ]'
guest_says six "slot of .* is free"

# And after it: what is missing comes back under its alias, on another VF.
ip link set "$(pf_interface)" vf "$(vf_number $VF_A)" mac 02:00:00:00:00:01
cni_add $VF_C $MAC_A
network_info "net-a=$VF_C=$MAC_A" "net-b=$VF_B=$MAC_B" >$RUN/network-info.json
plugin_variables $VF_C $VF_B >$RUN/environ
virsh dumpxml six >$RUN/detached.xml
hook_define $RUN/detached.xml >$RUN/attached.xml || fail "define refused the domain without its VF"
# The one hostdev that names the network.
awk 'BEGIN { RS = "</hostdev>" } /ua-sriov-net-a/ { sub(/.*<hostdev /, "<hostdev "); print $0 RS }' $RUN/attached.xml >$RUN/hostdev.xml
expect_equal "hostdevs under the alias" 1 "$(grep -c '<hostdev ' $RUN/hostdev.xml)"
virsh attach-device six $RUN/hostdev.xml --live >/dev/null || fail "libvirt does not attach: $(cat $RUN/hostdev.xml)"
qtree_has six $VF_C ua-sriov-net-a
qtree_has six $VF_B ua-sriov-net-b
pings() { [ "$(grep -c "guest: ping .* $MAC_A 10.9.1.1 4 answered" $RUN/six.serial)" -ge 2 ]; }
wait_for 60 "the guest to ping through the VF attached to it ($(tail -n 2 $RUN/six.serial))" pings
