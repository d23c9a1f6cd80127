# shellcheck shell=bash
# title: libvirt's own reading-back: define, dumpxml, define again: stable, the alias survives
# boot: intel_iommu=on
cni_add $VF_A $MAC_A
cni_add $VF_B $MAC_B $VLAN_B
vmi "net-a=$MAC_A" "net-b=$MAC_B==0000:07:00.0" >$RUN/vmi.json
network_info "net-a=$VF_A=$MAC_A" "net-b=$VF_B=$MAC_B" >$RUN/network-info.json
plugin_variables $VF_B $VF_A >$RUN/environ
domain back >$RUN/domain.xml
libvirt_start

hook_define $RUN/domain.xml >$RUN/first.xml || fail "define refused"
virsh define $RUN/first.xml >/dev/null || fail "libvirt refused the first domain"
virsh dumpxml --inactive back >$RUN/first-back.xml
expect_line "libvirt added to the hostdev" "mode='subsystem'" "$(cat $RUN/first-back.xml)"

hook_define $RUN/first-back.xml >$RUN/second.xml || fail "define refused what libvirt read back"
same_file "a domain with its VFs in place was changed" $RUN/first-back.xml $RUN/second.xml
virsh define $RUN/second.xml >/dev/null || fail "libvirt refused the second domain"
virsh dumpxml --inactive back >$RUN/second-back.xml
same_file "libvirt reads the second domain back otherwise than the first" $RUN/first-back.xml $RUN/second-back.xml

# Of a running domain libvirt says more: driver, live aliases, addresses.
virsh start --paused back >/dev/null || fail "libvirt does not start it"
virsh dumpxml back >$RUN/live.xml
hook_define $RUN/live.xml >$RUN/live-again.xml || fail "define refused the live domain"
same_file "the live domain was changed" $RUN/live.xml $RUN/live-again.xml
for network in net-a net-b; do
    expect_equal "hostdevs of $network in the live domain" 1 "$(grep -c "<alias name='ua-sriov-$network'/>" $RUN/live-again.xml)"
done
expect_equal "hostdevs in the live domain" 2 "$(grep -c '<hostdev ' $RUN/live-again.xml)"
