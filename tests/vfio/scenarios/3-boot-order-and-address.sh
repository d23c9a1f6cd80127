# shellcheck shell=bash
# title: boot order and guest PCI address as asked, read from inside the guest
# boot: intel_iommu=on
cni_add $VF_A $MAC_A
cni_add $VF_B $MAC_B $VLAN_B
# The first network boots last.
vmi "net-a=$MAC_A=2=0000:07:00.0" "net-b=$MAC_B=1=0000:05:00.0" >$RUN/vmi.json
network_info "net-a=$VF_A=$MAC_A" "net-b=$VF_B=$MAC_B" >$RUN/network-info.json
plugin_variables $VF_B $VF_A >$RUN/environ
domain three >$RUN/domain.xml
hook_define $RUN/domain.xml >$RUN/three.xml || fail "define refused"

libvirt_start
guest_start $RUN/three.xml
guest_says three "up "
guest_says three "nic 0000:07:00.0 $MAC_A "
guest_says three "nic 0000:05:00.0 $MAC_B "

# fw_cfg names devices by their path: the slot and function of the port that the NIC is behind.
firmware_path() {
    local port
    port=$(guest_says three "nic .* $1 " | sed 's/.* behind 0000:00:\(..\)\.\(.\)$/\1 \2/')
    printf '/pci-bridge@%x%s/ethernet@' "0x${port% *}" "$([ "${port#* }" = 0 ] || echo ",${port#* }")"
}
order=$(guest_says three 'bootorder .*ethernet' | sed 's/.*bootorder [0-9]* //')
expect_equal "NICs in the firmware's boot order" 2 "$(echo "$order" | wc -l)"
expect_line "first in the boot order" "$(firmware_path $MAC_B)" "$(echo "$order" | sed -n 1p)"
expect_line "second in the boot order" "$(firmware_path $MAC_A)" "$(echo "$order" | sed -n 2p)"
