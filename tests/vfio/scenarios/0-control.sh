# shellcheck shell=bash
# title: the lab itself: a hand-written hostdev pings through its VF
# boot: intel_iommu=on
cni_add $VF_A $MAC_A
libvirt_start
domain lab >$RUN/lab.xml
sed -i 's|^.*<memballoon|\t\t<hostdev type="pci" managed="no"><source><address type="pci" domain="0x0000" bus="0x01" slot="0x10" function="0x0"></address></source><alias name="ua-sriov-net-a"></alias></hostdev>\n&|' $RUN/lab.xml
guest_start $RUN/lab.xml
qtree_has lab $VF_A ua-sriov-net-a
guest_says lab "ping .* $MAC_A 10.9.1.1 4 answered"
