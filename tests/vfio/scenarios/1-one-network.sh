# shellcheck shell=bash
# title: one network: MAC, ping, alias
# boot: intel_iommu=on
cni_add $VF_A $MAC_A
vmi "net-a=$MAC_A" >$RUN/vmi.json
network_info "net-a=$VF_A=$MAC_A" >$RUN/network-info.json
plugin_variables $VF_A >$RUN/environ
domain one >$RUN/domain.xml

libvirt_start
hook_define $RUN/domain.xml >$RUN/one.xml || fail "define refused"
guest_start $RUN/one.xml
expect_line "libvirt's domain" "<domain type='kvm'" "$(virsh dumpxml one)"
qtree_has one $VF_A ua-sriov-net-a
guest_says one "ping .* $MAC_A 10.9.1.1 4 answered"
expect_equal "NICs in the guest" 1 "$(guest_says one 'nic ' | wc -l)"
