# shellcheck shell=bash
# title: libvirt's qemu hook: stops a start without vfio-pci, restores a saved domain on another VF
# boot: intel_iommu=on
install -m 755 "$LAUNCHER_HOOK" /etc/libvirt/hooks/qemu
cni_add $VF_A $MAC_A
vmi "net-a=$MAC_A" >$RUN/vmi.json
network_info "net-a=$VF_A=$MAC_A" >$RUN/network-info.json
plugin_variables $VF_A >$RUN/environ
cp $RUN/network-info.json /etc/podinfo/network-info
# libvirt saves a domain with a hostdev only when that is one half of a failover pair, and only while
# QEMU has it unplugged: that is so until the guest loads the driver of the other half. Nothing
# answers on that other half's own network.
domain saved "lab.late lab.stay" | sed "s|^.*<memballoon|		<interface type='user'><mac address='$MAC_A'/><model type='virtio'/><teaming type='persistent'/><alias name='ua-standby'/></interface>\n&|" >$RUN/domain.xml
hook_define $RUN/domain.xml >$RUN/plain.xml || fail "define refused"
sed "s|<alias name=[\"']ua-sriov-net-a[\"'].*|<teaming type='transient' persistent='ua-standby'/>&|" $RUN/plain.xml >$RUN/saved.xml
grep -q transient $RUN/saved.xml || fail "no alias to put the teaming beside"
mapfile -t variables <$RUN/environ

# libvirt hands its hooks an empty environment: they find the variables at process 1.
libvirt_start "${variables[@]}"
vf_bind $VF_A ""
virsh define $RUN/saved.xml >/dev/null || fail "libvirt refused the domain"
if virsh start saved 2>$RUN/stopped.log; then fail "a VF without vfio-pci did not stop the start"; fi
expect_line "libvirt's error" "Hook script execution failed" "$(cat $RUN/stopped.log)"
expect_line "our sentence in libvirt's error" "$VF_A.*vfio-pci" "$(tr '\n' ' ' <$RUN/stopped.log)"

vf_bind $VF_A vfio-pci
guest_start $RUN/saved.xml
guest_says saved "waiting for Enter"
timeout 60 setsid -w virsh save saved $RUN/saved.image >/dev/null || fail "libvirt does not save the domain"

# The next host has another VF for this network.
ip link set "$(pf_interface)" vf "$(vf_number $VF_A)" mac 02:00:00:00:00:01
vf_bind $VF_A ""
cni_add $VF_C $MAC_A
network_info "net-a=$VF_C=$MAC_A" >/etc/podinfo/network-info
mapfile -t variables < <(plugin_variables $VF_C)
libvirt_start "${variables[@]}"
expect_line "the saved domain" "bus='0x01' slot='0x10' function='0x0'" "$(virsh save-image-dumpxml $RUN/saved.image)"
virsh restore $RUN/saved.image || fail "libvirt does not restore the domain"
expect_line "the restored domain" "bus='0x01' slot='0x10' function='0x4'" "$(virsh dumpxml saved)"
virsh send-key saved KEY_ENTER >/dev/null
guest_says saved "ping .* $MAC_A 10.9.1.1 4 answered"
qtree_has saved $VF_C ua-sriov-net-a
