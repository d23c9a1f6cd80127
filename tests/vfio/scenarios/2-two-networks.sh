# shellcheck shell=bash
# title: two networks on one resource: each NIC on its own network; without network-info refused
# boot: intel_iommu=on
cni_add $VF_A $MAC_A
cni_add $VF_B $MAC_B $VLAN_B
vmi "net-a=$MAC_A" "net-b=$MAC_B" >$RUN/vmi.json
# The variables in the other order, as they were on a real node.
plugin_variables $VF_B $VF_A >$RUN/environ
domain two >$RUN/domain.xml
libvirt_start

# Not told which is which: refused by names and addresses, and nothing starts.
: >$RUN/network-info.json
if hook_define $RUN/domain.xml >$RUN/refused.xml 2>$RUN/refusal.log; then
    guest_start $RUN/refused.xml
    fail "defined a domain without knowing which VF is whose"
fi
for word in net-a net-b $VF_A $VF_B; do
    expect_line "the refusal" "$word" "$(cat $RUN/refusal.log)"
done
expect_equal "output beside a refusal" "" "$(cat $RUN/refused.xml)"
expect_equal "domains after a refusal" "" "$(virsh list --all --name)"

network_info "net-a=$VF_A=$MAC_A" "net-b=$VF_B=$MAC_B" >$RUN/network-info.json
hook_define $RUN/domain.xml >$RUN/two.xml || fail "define refused"

# Multus 4.3 sorts the devices: the same answer from the order of the selections alone.
networks_annotation "net-a=$MAC_A" "net-b=$MAC_B" >$RUN/networks.json
: >$RUN/network-info.json
hook_define $RUN/domain.xml --assign multus --networks-annotation $RUN/networks.json >$RUN/multus.xml || fail "define --assign multus refused"
same_file "--assign multus differs from what network-info says" $RUN/two.xml $RUN/multus.xml

guest_start $RUN/two.xml
qtree_has two $VF_A ua-sriov-net-a
qtree_has two $VF_B ua-sriov-net-b
guest_says two "up "
# Network b is tagged: the wrong VF would get no answer.
guest_says two "ping .* $MAC_A 10.9.1.1 4 answered"
guest_says two "ping .* $MAC_B 10.9.3.1 4 answered"
expect_equal "NICs in the guest" 2 "$(guest_says two 'nic ' | wc -l)"
